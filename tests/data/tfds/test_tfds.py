"""Data sets of TensorFlow Datasets, built from directories in COCO's layout and read back."""

import functools
import itertools
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from aggpose_jax.data import pipeline, tfds, transforms, writers
from aggpose_jax.data.coco import CocoKeypoints
from aggpose_jax.data.synthetic import SyntheticInfants
from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import COCO_17, INFANT_21


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A COCO directory of five infants to train and two to test, the first with a video and a frame."""
    folder = tmp_path_factory.mktemp("coco")
    for split, count in (("train", 5), ("test", 2)):
        writers.write_coco(SyntheticInfants(count, split=split), folder, split)
        file = folder / "annotations" / f"person_keypoints_{split}.json"
        coco = json.loads(file.read_text())
        coco["images"][0] |= {"video_id": 7, "frame": 3}
        file.write_text(json.dumps(coco))
    return folder


@pytest.fixture(scope="module")
def built(directory, tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("tfds")
    tfds.build("infant_pose", directory, data_dir)
    return data_dir


def assert_same_crops(ours, theirs, keypoint_set):
    make_batch = functools.partial(
        transforms.make_batch,
        keypoint_set=keypoint_set,
        input_size=(64, 64),
        augmentation=transforms.Augmentation(),
    )

    epoch = -(-len(theirs) // 2)
    batches = (pipeline.training_batches(source, make_batch, batch_size=2, seed=1) for source in (ours, theirs))
    for a, b in itertools.islice(zip(*batches, strict=True), epoch):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


def test_an_epoch_of_crops_is_that_of_the_coco_directory(directory, built):
    ours = tfds.TfdsKeypoints("infant_pose", built, "train", INFANT_21)
    theirs = CocoKeypoints(directory, "train", INFANT_21)
    assert len(ours) == len(theirs) == 5
    assert ours.ground_truth() == theirs.ground_truth()
    assert ours.counts() == theirs.counts()
    assert (ours[0]["video_id"], ours[0]["frame"]) == (7, 3)
    assert_same_crops(ours, theirs, INFANT_21)


def test_real_images_and_their_detections_are_those_of_the_coco_directory(test_data, tmp_path):
    directory = test_data / "coco_mini"
    tfds.build("coco_keypoints", directory, tmp_path)
    detections = next((directory / "person_detection_results").iterdir())
    for split, found in (("train2017", None), ("val2017", detections)):
        ours = tfds.TfdsKeypoints("coco_keypoints", tmp_path, split, COCO_17, found)
        theirs = CocoKeypoints(directory, split, COCO_17, found)
        assert len(ours) == len(theirs) > 4
        assert_same_crops(ours, theirs, COCO_17)


def test_records_hold_what_a_reader_of_the_data_set_expects(directory, built):
    record = tfds.BUILDERS["infant_pose"](data_dir=built, file_format="array_record").as_data_source("train")[0]
    truth = SyntheticInfants(5)[0]
    assert record["image"].shape == truth["image"].shape
    np.testing.assert_allclose(record["keypoints"], truth["keypoints"][None], rtol=1e-6)
    np.testing.assert_allclose(record["boxes"], truth["box"][None], rtol=1e-6)
    assert (record["video_id"], record["frame"], record["image_id"]) == (7, 3, 1)


def test_a_data_set_that_is_not_built_says_how_to_build_it(built, tmp_path):
    with pytest.raises(UserError, match=r"no split train of infant_pose; build it: .*prepare tfds infant_pose"):
        tfds.TfdsKeypoints("infant_pose", tmp_path, "train", INFANT_21)
    with pytest.raises(UserError, match="no split val"):
        tfds.TfdsKeypoints("infant_pose", built, "val", INFANT_21)


def test_a_directory_without_annotations_builds_nothing(tmp_path):
    with pytest.raises(UserError, match=r"holds no annotations/person_keypoints_\*\.json"):
        tfds.build("infant_pose", tmp_path / "nothing", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("annotations", {"bbox": [float("nan"), 0, 4, 4]}, "annotation 1 has the bbox"),
        ("annotations", {"keypoints": [1, 2, 2] * 17}, "annotation 1 has 17 keypoints, the keypoint set has 21"),
        ("annotations", {"id": 2}, "annotation 2 is there twice"),
        ("images", {"file_name": "../secret.jpg"}, "image 1 has the file_name"),
        ("images", {"video_id": "first"}, "image 1 has the video_id 'first'"),
        ("images", {"frame": 1.5}, r"image 1 has the frame 1\.5"),
    ],
)
def test_a_hostile_file_builds_nothing(directory, tmp_path, kind, fields, message):
    hostile = tmp_path / "hostile"
    shutil.copytree(directory, hostile)
    file = hostile / "annotations" / "person_keypoints_train.json"
    coco = json.loads(file.read_text())
    coco[kind][0] |= fields
    file.write_text(json.dumps(coco))
    with pytest.raises(UserError, match=rf"person_keypoints_train\.json: {message}"):
        tfds.build("infant_pose", hostile, tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_nothing_imports_tensorflow(built):
    code = (
        "import sys\n"
        "from aggpose_jax.data.tfds import TfdsKeypoints\n"
        "from aggpose_jax.pose.keypoints import INFANT_21\n"
        f"print(len(TfdsKeypoints('infant_pose', {str(built)!r}, 'train', INFANT_21)[0]['image']))\n"
        "assert 'tensorflow' not in sys.modules"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 1000
