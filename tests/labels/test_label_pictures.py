"""The images that labels are exported and imported with."""

import numpy as np
import pytest
from label_sets import SIZE
from PIL import Image

from aggpose_jax.data import videos
from aggpose_jax.data.images import read_image
from aggpose_jax.labels.label_set import LabelledImage
from aggpose_jax.labels.pictures import ORIENTATION, Picture, name_files, write_pictures

NOBODY = np.zeros((0, 21, 3))


def labelled(file, size=None, **fields):
    return LabelledImage(file, size, NOBODY, fields)


def photo(path, orientation=1, size=SIZE):
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return path


def test_images_keep_their_files_and_frames_are_named_after_video_and_number(tmp_path):
    path = photo(tmp_path / "x.jpg")
    images = [labelled("a/x.jpg"), labelled("film/7", video_id="ward 3/film", frame=7), labelled("x.tif")]
    pictures = {
        "a/x.jpg": Picture(path), "film/7": Picture(tmp_path / "film.mp4", 7), "x.tif": Picture(tmp_path / "x.tif")
    }  # fmt: skip
    assert list(name_files(images, pictures, False).values()) == ["a/x.jpg", "ward_3_film_frame000007.png", "x.png"]
    assert list(name_files(images, pictures, True).values()) == [
        "images/a_x.png", "ward_3_film/img000007.png", "images/x.png"
    ]  # fmt: skip


def test_names_that_would_be_equal_are_numbered(tmp_path):
    images = [labelled(str(video), video_id=video, frame=1) for video in ("a/b", "a b", "A_B", 3, "3")]
    images[4] = images[4]._replace(file="three")
    pictures = {image.file: Picture(tmp_path / "film.mp4", 1) for image in images}
    named = name_files(images, pictures, False)
    assert list(named.values()) == [
        "a_b_frame000001.png", "a_b_frame000001_2.png", "A_B_frame000001_3.png", "3_frame000001.png",
        "3_frame000001_2.png",
    ]  # fmt: skip


def test_frames_of_a_video_are_written_exactly(tmp_path):
    frames = [np.full((*SIZE, 3), 20 * number, np.uint8) for number in range(8)]
    videos.write_frames(((0.04 * n, frame) for n, frame in enumerate(frames)), tmp_path / "film.mp4")
    images = [labelled(str(n), video_id="film", frame=n) for n in (2, 5, 90)]
    pictures = {image.file: Picture(tmp_path / "film.mp4", image.fields["frame"]) for image in images}
    failures = []
    named = name_files(images, pictures, False)
    sizes = write_pictures(images, pictures, named, tmp_path / "out", failures)
    assert sizes == {"2": SIZE, "5": SIZE}
    decoded = {frame.index: frame.image for frame in videos.read_frames(tmp_path / "film.mp4")}
    for number in (2, 5):
        written = read_image(tmp_path / "out" / f"film_frame00000{number}.png")
        np.testing.assert_array_equal(written, decoded[number])
    (failure,) = failures
    assert "film.mp4 has no frame 90" in failure


@pytest.mark.parametrize("upright", [False, True])
def test_an_image_with_an_orientation_becomes_one_that_all_programs_see_alike(tmp_path, upright):
    path = photo(tmp_path / "x.png", orientation=6)
    pictures = {"x.png": Picture(path, upright=upright)}
    failures = []
    sizes = write_pictures([labelled("x.png")], pictures, {"x.png": "y.png"}, tmp_path, failures)
    assert (sizes, failures) == ({"x.png": SIZE[::-1] if upright else SIZE}, [])
    np.testing.assert_array_equal(read_image(tmp_path / "y.png", upright=True), read_image(path, upright=upright))


def test_missing_damaged_and_wrong_images_are_listed_and_the_others_written(tmp_path):
    files = ["good.jpg", "none.jpg", "bad.jpg", "size.jpg", "film"]
    for name in (files[0], files[3]):
        photo(tmp_path / name)
    (tmp_path / "bad.jpg").write_bytes((tmp_path / "good.jpg").read_bytes()[:500])
    images = [labelled(file, (10, 10) if file == "size.jpg" else None) for file in files]
    for upright in (False, True):
        pictures = {file: Picture(tmp_path / file, 0 if file == "film" else None, upright) for file in files}
        failures = []
        sizes = write_pictures(images, pictures, dict(zip(files, files, strict=True)), tmp_path / "out", failures)
        assert sizes == {"good.jpg": SIZE}
        assert [name for name in files[1:] if sum(name in failure for failure in failures) != 1] == []
