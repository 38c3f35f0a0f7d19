"""Recordings with their truth: what is matched, and each reason why a film cannot be used."""

import dataclasses
import json

import known_films
import numpy as np
import pytest

from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import COCO_17, KeypointSet
from aggpose_jax.recordings import recording
from aggpose_jax.timeseries import truth

POINTS = known_films.draw_truth(np.random.default_rng(0), 5)
HANDS = KeypointSet("hands", ("left_hand", "right_hand"), ((0, 1),), (), (0.05, 0.05), (0,))


@pytest.fixture
def read(tmp_path):
    """Writes a film and its truth, and returns a function that matches them after changes of the truth or the facts."""
    found = np.concatenate([POINTS + np.array([3, 4]), np.full((5, 17, 1), 0.5)], axis=-1)

    def match(change=lambda coco: coco, poses=None, facts=known_films.FACTS):
        known_films.write_results(tmp_path / "film", list(found[:, None]) if poses is None else poses)
        (tmp_path / "truth.json").write_text(json.dumps(change(known_films.to_coco(POINTS))))
        one = dataclasses.replace(recording.read(tmp_path / "film"), facts=facts)
        return truth.match(one, tmp_path / "truth.json")

    return match


def test_errors_are_in_torso_lengths_of_the_truth(read):
    film = read()
    np.testing.assert_allclose(film.truth[:, 0], POINTS, atol=1e-3)
    assert film.length == pytest.approx(known_films.TORSO)
    np.testing.assert_allclose(film.offset, np.broadcast_to([3 / 50, 4 / 50], (5, 17, 2)), atol=1e-4)
    np.testing.assert_allclose(film.confidence, 0.5)
    assert film.infant == "film"


def test_frames_without_a_pose_or_an_annotation_and_unlabelled_keypoints_have_no_error(read):
    def change(coco):
        del coco["annotations"][1]
        coco["annotations"][0]["keypoints"][3 * 9 + 2] = 0
        coco["annotations"][1]["keypoints"] = [0.0] * 51  # of frame 2
        return coco

    pose = np.ones((1, 17, 3))
    film = read(change, [pose, pose, pose, pose[:0], pose])
    missing = np.isnan(film.offset).all(axis=2)
    assert missing[[1, 2, 3]].all()
    assert np.flatnonzero(missing[0]).tolist() == [9]
    assert not missing[4].any()
    assert np.isnan(film.confidence[3]).all()


def test_keypoints_are_matched_by_name_and_frames_by_number(read):
    order = np.random.default_rng(1).permutation(17)

    def change(coco):
        coco["categories"][0]["keypoints"] = [COCO_17.names[k].upper().replace("_", " ") for k in order] + ["navel"]
        for annotation in coco["annotations"]:
            points = np.reshape(annotation["keypoints"], (17, 3))[order]
            annotation["keypoints"] = [*points.ravel().tolist(), 1, 1, 2]
        for image in coco["images"]:
            image["frame"], image["id"] = image["id"], image["id"] + 100
        for annotation in coco["annotations"]:
            annotation["image_id"] += 100
        coco["images"].reverse()
        return coco

    np.testing.assert_allclose(read(change).truth[:, 0], POINTS, atol=1e-3)


def test_films_of_the_same_infant_are_named_so(read):
    film = read(lambda coco: coco | {"images": [image | {"infant_id": 7} for image in coco["images"]]})
    assert film.infant == "7"


def first(key, index, **fields):
    """Returns a change of an entry of COCO annotations."""

    def change(coco):
        coco[key][index] = coco[key][index] | fields
        return coco

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda coco: coco | {"images": coco["images"][:4], "annotations": coco["annotations"][:4]}, "has 4 frames"),
        (first("images", 0, frame=5), "has 5 frames, which are not the 5"),
        (first("images", 0, frame=[0]), "has 5 frames, which are not the 5"),
        (first("annotations", 0, image_id=1), "frame 1 has not the keypoints of one infant"),
        (first("annotations", 2, keypoints=[1, 1, 2]), "frame 2 has not the keypoints of one infant"),
        (lambda coco: coco | {"categories": []}, "no category with the keypoints"),
        (lambda coco: coco | {"categories": 3}, "no category with the keypoints"),
        (first("categories", 0, keypoints=["nose"]), "no category with the keypoints"),
        (lambda coco: coco | {"annotations": []}, "no frame with both shoulders and hips"),
        (lambda coco: [], "images and annotations"),
        (lambda coco: coco | {"images": [{**im, "infant_id": im["id"]} for im in coco["images"]]}, "several infants"),
    ],
)
def test_a_truth_that_does_not_fit_is_named(read, change, message):
    with pytest.raises(UserError, match=message) as error:
        read(change)
    assert "truth.json" in str(error.value)


@pytest.mark.parametrize(
    ("poses", "facts", "message"),
    [
        ([np.zeros((0, 17, 3))] * 5, {}, "film has no pose at all"),
        ([np.ones((2, 17, 3))] * 5, {}, "film is not of one tracked infant"),
        ([np.ones((1, 17, 3))] * 5, {"boxes": "fixed boxes"}, "film is not of one tracked infant"),
    ],
)
def test_a_recording_that_does_not_fit_is_named(read, poses, facts, message):
    with pytest.raises(UserError, match=message):
        read(poses=poses, facts=dataclasses.replace(known_films.FACTS, **facts))


def test_keypoints_without_a_torso_and_a_missing_truth_are_named(tmp_path):
    known_films.write_results(tmp_path / "hands", [np.ones((1, 2, 3))], HANDS)
    with pytest.raises(UserError, match="hands has no torso"):
        truth.match(recording.read(tmp_path / "hands"), tmp_path / "hands.json")
    known_films.write_results(tmp_path / "film", [np.ones((1, 17, 3))])
    with pytest.raises(UserError, match=r"film\.json cannot be read"):
        truth.match(recording.read(tmp_path / "film"), tmp_path / "film.json")
