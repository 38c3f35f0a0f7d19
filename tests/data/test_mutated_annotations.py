"""Annotation files that are mutated at random: the source gives records that everything accepts, or one UserError.

The environment variable AGGPOSE_CASES is the number of cases; a long search is run by hand:

AGGPOSE_CASES=5000 python -m pytest -n 0 tests/data/test_mutated_annotations.py
"""

import copy
import json
import os
import pathlib
import tempfile

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggpose_jax.data.annotations import read_annotations
from aggpose_jax.data.audit import audit_directory
from aggpose_jax.data.audit.report import page
from aggpose_jax.data.coco import CocoKeypoints
from aggpose_jax.data.images import ImageError
from aggpose_jax.data.transforms import make_batch
from aggpose_jax.data.views import Augmentation
from aggpose_jax.errors import UserError
from aggpose_jax.estimation import evaluation, pictures
from aggpose_jax.pose import metrics
from aggpose_jax.pose.keypoints import KeypointSet

CASES = int(os.environ.get("AGGPOSE_CASES", "150"))
NAMES = ("left_shoulder", "right_shoulder", "left_hip", "right_hip", "chin")
POINTS = KeypointSet("points", NAMES, ((0, 1), (2, 3)), ((0, 1), (2, 3)), (0.1,) * 5, (0, 1, 4))
VALUES = [
    *(None, True, False, -1, 0, 1, 2, 3, 7, 2**31, 2**53, 2**63, 2**70, -(2**63), -0.0, 0.4, 1.5, 1e-300, 1e6, 1e300),
    *(float("nan"), float("inf"), float("-inf"), "", "x", "1", "five.jpg", "nine.jpg"),
    *("\ud800", "a\0b", "../x", "é" * 300),
    *([], [1], [[1]], [None], [0] * 15, [1, 2, 3, 4], [0, 0, 0, 0], [5, 5, -1, 3], {}, {"id": 1}, [{"id": 1}]),
]  # fmt: skip


def valid() -> dict:
    """Returns the content of a valid file of two images with three persons and a crowd."""
    keypoints = [10, 8, 2, 20, 8, 2, 12, 20, 1, 19, 21, 2, 0, 0, 0]
    shifted = [value + (i % 3 < 2) for i, value in enumerate(keypoints)]
    person = {"category_id": 1, "bbox": [8, 6, 14, 17], "area": 100.5, "iscrowd": 0, "num_keypoints": 4}
    return {
        "images": [
            {"id": 5, "file_name": "five.jpg", "height": 30, "width": 40, "video_id": 1, "frame": 2},
            {"id": 9, "file_name": "nine.jpg", "height": 30, "width": 40},
        ],
        "annotations": [
            {"id": 1, "image_id": 5, **person, "keypoints": list(keypoints)},
            {"id": 2, "image_id": 5, **person, "keypoints": [0] * 15, "iscrowd": 1, "num_keypoints": 0},
            {"id": 3, "image_id": 9, **person, "keypoints": list(keypoints)},
            {"id": 4, "image_id": 9, **person, "keypoints": shifted},
        ],
        "categories": [{"id": 1, "name": "infant", "keypoints": list(NAMES), "skeleton": [[1, 2]]}],
    }  # fmt: skip


def places(content, above=()) -> list[tuple]:
    """Returns the paths of all values in JSON content, as tuples of keys and indices."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [path for key, value in items for path in ((*above, key), *places(value, (*above, key)))]


def mutate(content: dict, place: tuple, change: int) -> None:
    """Replaces a value by one of VALUES, or removes it (-1), or repeats it if it is in a list (-2)."""
    for key in place[:-1]:
        content = content[key]
    if change >= 0:
        content[place[-1]] = copy.deepcopy(VALUES[change])
    elif change == -1:
        del content[place[-1]]
    elif isinstance(content, list):
        content.append(copy.deepcopy(content[place[-1]]))


@st.composite
def mutated(draw) -> dict:
    """Draws the content of a file with one to three mutations."""
    content = valid()
    for _ in range(draw(st.integers(1, 3))):
        if all_places := places(content):
            mutate(content, draw(st.sampled_from(all_places)), draw(st.integers(-2, len(VALUES) - 1)))
    return content


@pytest.fixture(scope="module")
def directory():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        (path / "annotations").mkdir()
        (path / "tiny").mkdir()
        for name in ("five", "nine"):
            cv2.imwrite(str(path / "tiny" / f"{name}.jpg"), np.full((30, 40, 3), 128, np.uint8))
        yield path


@settings(max_examples=CASES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(content=mutated())
def test_a_mutated_file_gives_usable_records_or_one_user_error(directory, content):
    file = directory / "annotations" / "person_keypoints_tiny.json"
    file.write_text(json.dumps(content))
    refusal = None
    try:
        source = CocoKeypoints(directory, "tiny", POINTS)
    except UserError as error:
        refusal = str(error)
    if refusal is not None:
        assert str(file) in refusal
        assert "\n" not in refusal
        return
    counted = [a["id"] for a in source.ground_truth()["annotations"] if not a.get("iscrowd") and a["num_keypoints"]]
    records = [source[i] for i in range(len(source))]
    assert [record["id"] for record in records] == counted
    options = {"keypoint_set": POINTS, "input_size": (32, 32)}
    augmented = make_batch(
        records, [np.random.default_rng(abs(i)) for i in counted], augmentation=Augmentation(), **options
    )
    assert all(np.isfinite(array).all() for array in augmented.values())
    try:
        batch = make_batch(records, **options)
    except ImageError:  # A record may name an image that does not exist or has another size.
        return
    assert all(np.isfinite(array).all() for array in batch.values())
    truth = source.ground_truth()
    poses = np.array([record["keypoints"] for record in records], np.float64)
    results = metrics.coco_results([record["image_id"] for record in records], poses, np.ones(len(records)))
    result = evaluation.score(results, truth, POINTS)
    assert result.matches.ids.tolist() == counted
    np.testing.assert_allclose(result.matches.oks, 1)
    pictures.prediction_grid(source, result, POINTS)


@settings(max_examples=CASES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(content=mutated())
def test_an_audit_of_a_mutated_file_finds_what_the_reader_rejects(directory, content):
    file = directory / "annotations" / "person_keypoints_tiny.json"
    file.write_text(json.dumps(content))
    try:
        audit = audit_directory(directory)
    except UserError:  # No part of the file can be read.
        return
    assert "</html>" in page(audit)
    try:
        read_annotations(file)
    except UserError:
        assert audit.findings
