"""The data set of the keypoints that are sure."""

import json

import numpy as np
import pytest
from made_films import TORSO, make_film
from PIL import Image
from stick_figures import STICK_FIGURE

from aggpose_jax.adaptation import pseudo_labels
from aggpose_jax.adaptation.pseudo_labels import merge, select_points, write
from aggpose_jax.adaptation.selection import Selection
from aggpose_jax.data.coco import CocoKeypoints
from aggpose_jax.errors import UserError


def selection(sure) -> Selection:
    return Selection(np.array(sure, bool), np.zeros((4, 8), int))


@pytest.fixture
def film(tmp_path):
    return make_film(tmp_path / "films")


def write_labels(folder, persons: int = 1):
    """Writes a data set of one labelled image with this number of persons."""
    (folder / "train").mkdir(parents=True)
    (folder / "annotations").mkdir()
    Image.new("RGB", (160, 120)).save(folder / "train" / "mine.png")
    keypoints = np.tile([10.0, 20.0, 2.0], 8).tolist()
    annotations = [
        {"id": 7 + n, "image_id": 5, "category_id": 3, "bbox": [1, 2, 30, 40], "area": 900, "keypoints": keypoints}
        for n in range(persons)
    ]
    content = {
        "images": [{"id": 5, "file_name": "mine.png", "width": 160, "height": 120}],
        "annotations": annotations,
        "categories": [{"id": 3, "name": "infant", "keypoints": list(STICK_FIGURE.names)}],
    }
    (folder / "annotations" / "person_keypoints_train.json").write_text(json.dumps(content))
    return folder


def test_scores_mirror_images_and_neighbours_of_a_film_select_its_points(film):
    film.keypoints[1, 0, 2] = 0.5
    film.mirrored[2, 1, 0] += 0.11 * TORSO
    film.keypoints[3, 2, 0] += 0.6 * TORSO  # frame 2 is .3 torso lengths from the mean of its neighbours
    some = film._replace(rows=np.array([1, 2]), straight=film.straight[1:3], mirrored=film.mirrored[1:3])
    found = select_points(some, "another network")
    expected = np.ones((2, 8), bool)
    expected[0, 0] = expected[1, 1] = expected[1, 2] = False
    assert found.sure.tolist() == expected.tolist()


def test_a_calibration_of_the_network_judges_its_scores(film, monkeypatch):
    class Known:
        digest = "this network"

        @staticmethod
        def expected_error(score):
            return np.where(score > 0.8, 0.05, 0.2)

    monkeypatch.setattr(pseudo_labels.calibration, "of_package", Known)
    film.keypoints[0, :, 2] = 0.7
    assert select_points(film, "this network").sure.all(axis=1).tolist() == [False, True, True, True]
    assert select_points(film, "another network").sure.all()


def test_frames_are_written_and_unsure_points_are_not_labelled(film, tmp_path):
    sure = np.ones((4, 8), bool)
    sure[1, 3] = False
    sure[2, :5] = False  # fewer than half: the frame is not used
    write(tmp_path / "data", [film], [selection(sure)], STICK_FIGURE)
    train = CocoKeypoints(tmp_path / "data", "train", STICK_FIGURE)
    val = CocoKeypoints(tmp_path / "data", "val", STICK_FIGURE)
    assert [record["image"].split("data/")[1] for record in val] == ["val/films/film/000000.jpg"]
    assert [record["image"].split("data/")[1] for record in train] == [
        "train/films/film/000001.jpg", "train/films/film/000003.jpg"
    ]  # fmt: skip
    assert Image.open(train[0]["image"]).size == (160, 120)
    assert (train[0]["keypoints"][:, 2] > 0).tolist() == sure[1].tolist()
    np.testing.assert_allclose(train[1]["keypoints"][:, :2], film.keypoints[3, :, :2], atol=1e-3)
    assert train[0]["video_id"] == "film"


def test_the_box_is_that_of_the_whole_pose(film, tmp_path):
    sure = np.ones((4, 8), bool)
    sure[:, 6:] = False  # the ankles, which are the lowest points
    write(tmp_path / "data", [film], [selection(sure)], STICK_FIGURE)
    content = json.loads((tmp_path / "data" / "annotations" / "person_keypoints_train.json").read_text())
    pose = film.keypoints[1, :, :2]
    assert content["annotations"][0]["bbox"] == pytest.approx([*pose.min(0), *np.ptp(pose, axis=0)])


def test_a_single_frame_is_trained_on(tmp_path):
    film = make_film(tmp_path, "one", frames=1)
    write(tmp_path / "data", [film], [selection(np.ones((1, 8)))], STICK_FIGURE)
    assert len(CocoKeypoints(tmp_path / "data", "train", STICK_FIGURE)) == 1


def test_data_that_is_complete_stays_and_other_data_is_replaced(film, tmp_path):
    args = tmp_path / "data", [film], [selection(np.ones((4, 8)))], STICK_FIGURE
    (tmp_path / "data" / "train").mkdir(parents=True)
    (tmp_path / "data" / "train" / "half.jpg").touch()
    write(*args)
    assert not (tmp_path / "data" / "train" / "half.jpg").exists()
    film.path.unlink()
    write(*args)


def test_labelled_persons_are_half_of_the_persons(film, tmp_path):
    labels = write_labels(tmp_path / "mine")
    write(tmp_path / "data", [film], [selection(np.ones((4, 8)))], STICK_FIGURE, labels)
    train = CocoKeypoints(tmp_path / "data", "train", STICK_FIGURE)
    names = [record["image"].rpartition("train/")[2] for record in train]
    assert names == [*(f"films/film/00000{n}.jpg" for n in (1, 2, 3)), *["labelled/mine.png"] * 3]
    assert Image.open(train[5]["image"]).size == (160, 120)
    assert train[5]["box"][:2].tolist() == [1, 2]


def test_fewer_pseudo_labels_than_labels_are_repeated():
    person = {"num_keypoints": 1, "image_id": 1, "id": 1}
    coco = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{**person, "name": "pseudo"}]}
    labelled = {
        "images": [{"id": 1, "file_name": "b.jpg"}],
        "annotations": [person, {**person, "id": 2}, {**person, "iscrowd": 1}, {**person, "num_keypoints": 0}],
    }
    found = merge(coco, labelled)
    assert [one["image_id"] for one in found["annotations"]] == [1, 1, 2, 2]
    assert [one["id"] for one in found["annotations"]] == [1, 2, 3, 4]
    assert [image["file_name"] for image in found["images"]] == ["a.jpg", "labelled/b.jpg"]
    with pytest.raises(UserError, match="--labels"):
        merge(coco, {"images": [], "annotations": []})
