"""Writing records to files and reading them back."""

import av
import cv2
import numpy as np
import pytest

from aggpose_jax.data import writers
from aggpose_jax.data.coco import CocoKeypoints
from aggpose_jax.data.synthetic import SyntheticInfants
from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import INFANT_21


def test_records_read_from_a_written_coco_directory_equal_the_source(tmp_path):
    source = SyntheticInfants(3)
    writers.write_coco(source, tmp_path, "train")
    read = CocoKeypoints(tmp_path, "train", INFANT_21)
    assert len(read) == 3
    for expected, record in ((source[i], read[i]) for i in range(3)):
        np.testing.assert_allclose(record["keypoints"], expected["keypoints"], rtol=1e-6)
        np.testing.assert_allclose(record["area"], expected["area"], rtol=1e-6)
        assert record["id"] == expected["id"]
        pixels = cv2.imread(record["image"])[..., ::-1].astype(int)
        assert np.abs(pixels - expected["image"]).mean() < 4


def test_a_written_video_contains_the_frames_in_h264(tmp_path):
    frames = [np.full((32, 48, 3), 40 * i, np.uint8) for i in range(5)]
    writers.write_video(iter(frames), tmp_path / "film.mp4", fps=30)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
    with av.open(str(tmp_path / "film.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, float(stream.average_rate)) == ("h264", 30)
        levels = [frame.to_ndarray(format="rgb24").mean() for frame in container.decode(video=0)]
    np.testing.assert_allclose(levels, [0, 40, 80, 120, 160], atol=4)


def test_a_video_whose_source_fails_is_not_written(tmp_path):
    def frames():
        yield np.zeros((32, 48, 3), np.uint8)
        raise RuntimeError("the source failed")

    with pytest.raises(RuntimeError):
        writers.write_video(frames(), tmp_path / "film.mp4", fps=30)
    assert not (tmp_path / "film.mp4").exists()


def test_new_folder_accepts_only_missing_and_empty_folders(tmp_path):
    assert writers.new_folder(tmp_path / "a" / "b").is_dir()
    writers.new_folder(tmp_path / "a" / "b")
    with pytest.raises(UserError, match="other files"):
        writers.new_folder(tmp_path / "a")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"below .*Not a directory"):
        writers.new_folder(tmp_path / "file" / "below")
