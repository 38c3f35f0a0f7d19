"""What the preparing program writes is what training reads."""

import json

import numpy as np
import pytest

from aggpose_jax import cli, prepare
from aggpose_jax.data.coco import CocoKeypoints
from aggpose_jax.data.images import read_image
from aggpose_jax.data.synthetic.drawn_ahead import StoredInfants
from aggpose_jax.data.tfds import TfdsKeypoints
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


def test_infants_are_drawn_into_shards_of_their_split(tmp_path):
    options = ["infants", f"--out={tmp_path}", "--images=2", "--variety=bare", "--processes=1"]
    for split in ("train", "val"):
        arguments = prepare.parser().parse([*options, f"--split={split}"])
        arguments.run(arguments)
    images = [read_image(StoredInfants(tmp_path / split)[1]["image"]) for split in ("train", "val")]
    assert images[0].shape == images[1].shape == (240, 320, 3)
    assert (images[0] != images[1]).any()
