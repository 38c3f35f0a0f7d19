"""The data of masked pretraining: crops of boxes, later frames as targets, and errors of their keys."""

import json

import cv2
import numpy as np
import pytest

from aggpose_jax.config import default_config
from aggpose_jax.data.synthetic import SyntheticMovement
from aggpose_jax.data.transforms import warp
from aggpose_jax.errors import UserError
from aggpose_jax.pose import geometry
from aggpose_jax.training import mae_data
from aggpose_jax.training.mae_data import make_data


def small_config(**changes):
    config = default_config()
    config.task, config.data, config.input_size, config.batch_size = "mae", "synthetic", (64, 48), 4
    config.synthetic_train, config.synthetic_eval, config.frame_stride, config.threads = 4, 2, 3, 1
    config.update(changes)
    return config


def first_evaluation_batch(config):
    data = make_data(config)
    return data._batch_maker(data.eval_source)([data.eval_source[i] for i in range(len(data.eval_source))])


@pytest.fixture
def film(tmp_path):
    """A folder with two videos of six frames that become brighter, and a file of their boxes."""
    boxes = {}
    for name in ("a", "b"):
        (tmp_path / "frames" / name).mkdir(parents=True)
        for number in range(6):
            cv2.imwrite(str(tmp_path / "frames" / name / f"{number}.png"), np.full((60, 80, 3), 30 * number, np.uint8))
        boxes[name] = [[0, 10, 10, 40, 40], [5, 15, 10, 40, 40]]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    return {
        "data": "frames",
        "data_dir": str(tmp_path / "frames"),
        "held_out": 0.5,
        "boxes": str(tmp_path / "boxes.json"),
    }


def test_crops_of_synthetic_infants_are_those_of_fine_tuning():
    batch = first_evaluation_batch(small_config(boxes="truth"))
    movement = SyntheticMovement(2, 3, split="test")
    for image, frame_id in zip(batch["image"], batch["id"], strict=True):
        record = movement[int(frame_id)]
        center, size = geometry.crop_region(record["box"], 48 / 64)
        np.testing.assert_array_equal(
            image, warp(record["image"], geometry.crop_transform(center, size, (64, 48)), (64, 48))
        )


def test_targets_of_synthetic_infants_are_later_frames():
    config = small_config(target_offset=2)
    batch = first_evaluation_batch(config)
    data = make_data(config)
    assert batch["id"].tolist() == [0, 3]  # Only the first frame of three has a target.
    assert batch["target"].shape == batch["image"].shape
    assert (batch["target"] != batch["image"]).any((1, 2, 3)).all()
    assert "4 videos, 4 segments, 4 frames, 0 videos left out" in data.describe()
    with pytest.raises(UserError, match=r"target_offset: .* 3 frames"):
        make_data(small_config(target_offset=3)).describe()


def test_crops_of_films_follow_the_boxes_of_a_file(film):
    data = make_data(small_config(**film))
    batch = data._batch_maker(data.train_source)([data.train_source[0]], [np.random.default_rng(0)])
    assert batch["valid"].tolist() == [1]
    assert data.train_source.counts()["frames"] == 6


def test_plain_frames_have_neither_boxes_nor_targets(film):
    source = mae_data.open_source(small_config(**film | {"boxes": ""}), "train")
    assert source.draw(source[0], np.random.default_rng(0)).keys() == {"video_id", "segment", "id", "image", "frame"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "synthetic"}, "boxes: .* synthetic .*truth"),
        ({"boxes": "missing"}, "missing cannot be read"),
        ({"target_offset": 6}, "target_offset: .* 6 frames"),
        ({"data": "coco"}, "data: coco "),
    ],
)
def test_contradictory_keys_are_errors(film, changes, message):
    with pytest.raises(UserError, match=message):
        make_data(small_config(**film | changes)).describe()


def test_a_film_of_one_repeated_frame_has_no_target(film, tmp_path):
    for number in range(6):
        for name in ("a", "b"):
            cv2.imwrite(str(tmp_path / "frames" / name / f"{number}.png"), np.full((60, 80, 3), 30, np.uint8))
    make_data(small_config(**film)).describe()
    with pytest.raises(UserError, match="repeats one frame"):
        make_data(small_config(**film, target_offset=1)).describe()
