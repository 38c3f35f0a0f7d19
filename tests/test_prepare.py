"""What the preparing program writes is what training reads."""

import json

import numpy as np
import pytest

from aggpose_jax import cli, prepare
from aggpose_jax.data.coco import CocoKeypoints
from aggpose_jax.data.images import read_image
from aggpose_jax.data.synthetic.drawn_ahead import StoredInfants
from aggpose_jax.data.synthetic.infants import RenderedMovement
from aggpose_jax.data.synthetic.staging import LEVELS
from aggpose_jax.data.tfds import TfdsKeypoints
from aggpose_jax.data.videos import read_frames
from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import INFANT_21


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    out = tmp_path_factory.mktemp("synthetic")
    arguments = prepare.parser().parse(["synthetic", f"--out={out}", "--images=10", "--videos=2", "--frames=4"])
    arguments.run(arguments)
    return out


def test_synthetic_infants_in_three_splits(directory):
    sizes = {name: len(CocoKeypoints(directory, name, INFANT_21)) for name in ("train", "val", "test")}
    assert sizes == {"train": 7, "val": 1, "test": 2}


def test_val_and_test_are_different_infants(directory):
    first = [CocoKeypoints(directory, name, INFANT_21)[0]["keypoints"].tolist() for name in ("train", "val", "test")]
    assert first[0] != first[1] != first[2] != first[0]


def test_videos_come_with_the_truth_of_each_frame(directory):
    assert sorted(path.name for path in (directory / "videos").iterdir()) == ["video_000001.mp4", "video_000002.mp4"]
    for video in (1, 2):
        truth = json.loads((directory / "annotations" / "videos" / f"video_{video:06}.json").read_text())
        assert [(image["video_id"], image["id"]) for image in truth["images"]] == [(video, frame) for frame in range(4)]
        assert {annotation["image_id"] for annotation in truth["annotations"]} == set(range(4))
        assert min(annotation["id"] for annotation in truth["annotations"]) > 0  # COCO's metrics ignore the id 0.


def test_a_data_set_of_tensorflow_datasets_is_built_of_all_three(directory, tmp_path):
    arguments = prepare.parser().parse(["tfds", "infant_pose", f"--manual-dir={directory}", f"--data-dir={tmp_path}"])
    arguments.run(arguments)
    for name in ("train", "val", "test"):
        built, written = (
            TfdsKeypoints("infant_pose", tmp_path, name, INFANT_21),
            CocoKeypoints(directory, name, INFANT_21),
        )
        assert built.ground_truth() == written.ground_truth()
        np.testing.assert_array_equal(read_image(built[0]["image"]), read_image(written[0]["image"]))


def test_a_wrong_command_line_ends_in_two(capsys):
    with pytest.raises(SystemExit) as end:
        prepare.parser().parse(["synthetic", "--out=x", "--images=0"])
    assert end.value.code == 2
    assert "--images: 0 " in capsys.readouterr().err


def test_a_folder_that_is_not_empty_is_an_error(directory, capsys):
    with pytest.raises(SystemExit) as end:
        cli.run(prepare.parser, prepare.main, ["synthetic", f"--out={directory}", "--images=3"])
    assert end.value.code == 1
    assert str(directory) in capsys.readouterr().err


def test_infants_are_drawn_as_films_with_the_keypoints_of_every_frame(tmp_path):
    options = ["infants", f"--out={tmp_path}", "--videos=2", "--frames=3", "--variety=bare", "--processes=1"]
    arguments = prepare.parser().parse(options)
    arguments.run(arguments)
    film, truth = tmp_path / "train" / "videos" / "video_000002.mp4", tmp_path / "train" / "annotations" / "videos"
    frames = list(read_frames(film))
    coco = json.loads((truth / "video_000002.json").read_text())
    source = RenderedMovement(2, 3, variety=LEVELS["bare"])
    assert [image["id"] for image in coco["images"]] == [frame.index for frame in frames] == [0, 1, 2]
    for number, (frame, person) in enumerate(zip(frames, coco["annotations"], strict=True)):
        record = source[3 + number]
        assert np.abs(frame.image.astype(float) - record["image"]).mean() < 6  # the losses of H.264
        np.testing.assert_allclose(np.reshape(person["keypoints"], (21, 3)), record["keypoints"], rtol=1e-6)


def test_films_that_are_there_are_not_drawn_again(tmp_path):
    arguments = prepare.parser().parse(
        ["infants", f"--out={tmp_path}", "--videos=2", "--frames=2", "--variety=bare", "--processes=1"]
    )
    arguments.run(arguments)
    first, second = sorted((tmp_path / "train" / "videos").iterdir())
    first.write_bytes(b"kept")
    content = second.read_bytes()
    (tmp_path / "train" / "annotations" / "videos" / "video_000002.json").unlink()
    second.unlink()
    arguments.run(arguments)
    assert first.read_bytes() == b"kept"
    assert second.read_bytes() == content
    arguments.frames = 3
    with pytest.raises(UserError, match="other settings"):
        arguments.run(arguments)


def test_films_of_rendered_infants_cannot_be_drawn_in_part(tmp_path):
    arguments = prepare.parser().parse(["infants", f"--out={tmp_path / 'films'}", "--videos=2", "--drawn=2"])
    with pytest.raises(UserError, match="--drawn replaces images"):
        arguments.run(arguments)
    assert not (tmp_path / "films").exists()


def test_infants_are_drawn_into_shards_of_their_split(tmp_path):
    options = ["infants", f"--out={tmp_path}", "--images=2", "--variety=bare", "--processes=1"]
    for split in ("train", "val"):
        arguments = prepare.parser().parse([*options, f"--split={split}"])
        arguments.run(arguments)
    images = [read_image(StoredInfants(tmp_path / split)[1]["image"]) for split in ("train", "val")]
    assert images[0].shape == images[1].shape == (240, 320, 3)
    assert (images[0] != images[1]).any()
