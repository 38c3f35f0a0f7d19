"""Building data sets of TensorFlow Datasets from COCO directories and reading them back."""

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
    """Writes a COCO directory of five training and two test infants; the first image has video_id and frame."""
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


def assert_same_crops(source, expected, keypoint_set):
    make_batch = functools.partial(
        transforms.make_batch,
        keypoint_set=keypoint_set,
        input_size=(64, 64),
        augmentation=transforms.Augmentation(),
    )

    epoch = -(-len(expected) // 2)
    batches = (pipeline.training_batches(s, make_batch, batch_size=2, seed=1) for s in (source, expected))
    for a, b in itertools.islice(zip(*batches, strict=True), epoch):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


def test_an_epoch_of_crops_equals_that_of_the_coco_directory(directory, built):
    source = tfds.TfdsKeypoints("infant_pose", built, "train", INFANT_21)
    expected = CocoKeypoints(directory, "train", INFANT_21)
    assert len(source) == len(expected) == 5
    assert source.ground_truth() == expected.ground_truth()
    assert source.counts() == expected.counts()
    assert (source[0]["video_id"], source[0]["frame"]) == (7, 3)
    assert_same_crops(source, expected, INFANT_21)


def test_crops_of_real_images_and_detections_equal_those_of_the_coco_directory(test_data, tmp_path):
    directory = test_data / "coco_mini"
    tfds.build("coco_keypoints", directory, tmp_path)
    detections = next((directory / "person_detection_results").iterdir())
    for split, file in (("train2017", None), ("val2017", detections)):
        source = tfds.TfdsKeypoints("coco_keypoints", tmp_path, split, COCO_17, file)
        expected = CocoKeypoints(directory, split, COCO_17, file)
        assert len(source) == len(expected) > 4
        assert_same_crops(source, expected, COCO_17)


def test_stored_records_have_the_image_keypoints_boxes_and_ids(directory, built):
    record = tfds.BUILDERS["infant_pose"](data_dir=built, file_format="array_record").as_data_source("train")[0]
    expected = SyntheticInfants(5)[0]
    assert record["image"].shape == expected["image"].shape
    np.testing.assert_allclose(record["keypoints"], expected["keypoints"][None], rtol=1e-6)
    np.testing.assert_allclose(record["boxes"], expected["box"][None], rtol=1e-6)
    assert (record["video_id"], record["frame"], record["image_id"]) == (7, 3, 1)


def test_the_error_of_a_missing_data_set_gives_the_command_that_builds_it(built, tmp_path):
    with pytest.raises(UserError, match=r"split train of infant_pose .*prepare tfds infant_pose"):
        tfds.TfdsKeypoints("infant_pose", tmp_path, "train", INFANT_21)
    with pytest.raises(UserError, match="split val"):
        tfds.TfdsKeypoints("infant_pose", built, "val", INFANT_21)


def test_a_directory_without_annotations_is_an_error_and_nothing_is_written(tmp_path):
    with pytest.raises(UserError, match=r"nothing .*annotations/person_keypoints_\*\.json"):
        tfds.build("infant_pose", tmp_path / "nothing", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("annotations", {"bbox": [float("nan"), 0, 4, 4]}, "annotation 1 has the bbox"),
        ("annotations", {"keypoints": [1, 2, 2] * 17}, "annotation 1 has 17 keypoints.* 21"),
        ("annotations", {"id": 2}, "annotation 2 occurs twice"),
        ("images", {"file_name": "../secret.jpg"}, "image 1 has the file_name"),
        ("images", {"video_id": "first"}, "image 1 has the video_id 'first'"),
        ("images", {"frame": 1.5}, r"image 1 has the frame 1\.5"),
    ],
)
def test_invalid_annotations_are_an_error_and_nothing_is_written(directory, tmp_path, kind, fields, message):
    invalid = tmp_path / "invalid"
    shutil.copytree(directory, invalid)
    file = invalid / "annotations" / "person_keypoints_train.json"
    coco = json.loads(file.read_text())
    coco[kind][0] |= fields
    file.write_text(json.dumps(coco))
    with pytest.raises(UserError, match=rf"person_keypoints_train\.json: {message}"):
        tfds.build("infant_pose", invalid, tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_reading_a_data_set_does_not_import_tensorflow(built):
    code = (
        "import sys\n"
        "from aggpose_jax.data.tfds import TfdsKeypoints\n"
        "from aggpose_jax.pose.keypoints import INFANT_21\n"
        f"print(len(TfdsKeypoints('infant_pose', {str(built)!r}, 'train', INFANT_21)[0]['image']))\n"
        "assert 'tensorflow' not in sys.modules"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert int(process.stdout) > 1000


def test_a_data_set_is_built_anew_only_if_its_source_has_changed(directory, tmp_path):
    source = shutil.copytree(directory, tmp_path / "coco")
    built = tfds.build("infant_pose", source, tmp_path / "tfds")
    before = (built / "features.json").stat().st_mtime_ns
    assert tfds.build("infant_pose", source, tmp_path / "tfds") == built
    assert (built / "features.json").stat().st_mtime_ns == before
    file = source / "annotations" / "person_keypoints_train.json"
    coco = json.loads(file.read_text())
    file.write_text(json.dumps(coco | {"annotations": coco["annotations"][:3]}))
    tfds.build("infant_pose", source, tmp_path / "tfds")
    assert len(tfds.TfdsKeypoints("infant_pose", tmp_path / "tfds", "train", INFANT_21)) == 3
    image = source / "train" / coco["images"][0]["file_name"]
    image.write_bytes(image.read_bytes() + b"\0")
    middle = (built / "features.json").stat().st_mtime_ns
    tfds.build("infant_pose", source, tmp_path / "tfds")
    assert (built / "features.json").stat().st_mtime_ns > middle
