"""Tests of whole images of synthetic infants."""

import dataclasses

import numpy as np
import pytest

from aggpose_jax.data.synthetic.clothes import Fabric
from aggpose_jax.data.synthetic.infants import RenderedInfants, RenderedMovement, draw_record, sample_infant
from aggpose_jax.data.synthetic.objects import ellipsoid
from aggpose_jax.data.synthetic.rendering import draw
from aggpose_jax.data.synthetic.staging import Variety
from aggpose_jax.data.synthetic.styles import STYLES
from aggpose_jax.errors import UserError

BARE = Variety(cameras=False, garments=False, clutter=False, degradation=False, empty=False)


def test_a_record_is_a_pure_function_of_its_index_and_differs_between_splits_and_seeds():
    sources = [RenderedInfants(3, variety=Variety()), RenderedInfants(9, variety=Variety())]
    records = [sources[0][2], sources[1][2], sources[0][-1]]
    for name, value in records[0].items():
        for other in records[1:]:
            np.testing.assert_array_equal(other[name], value)
    others = [RenderedInfants(3, split="val")[2], RenderedInfants(3, seed=1)[2], sources[0][1]]
    assert len({record["image"].tobytes() for record in (records[0], *others)}) == 4


@pytest.mark.parametrize("split", list(STYLES))
def test_keypoints_and_boxes_lie_in_the_frame(split):
    source = RenderedInfants(6, split=split)
    for i in range(6):
        record = source[i]
        assert record["image"].shape == (240, 320, 3)
        assert record["image"].dtype == np.uint8
        keypoints, absent, box = record["keypoints"], record["absent"], record["box"]
        assert keypoints.dtype == box.dtype == np.float32
        assert ((keypoints[:, :2] >= 0) & (keypoints[:, :2] <= [319, 239])).all()
        assert set(np.unique(keypoints[:, 2])) <= {0, 1, 2}
        assert absent[keypoints[:, 2] == 0].all()
        assert not absent[keypoints[:, 2] == 2].any()
        assert (box[2:] >= 1).all()
        assert record["id"] == record["image_id"] == i + 1


def test_keypoints_under_black_bars_are_outside_the_frame():
    infant = sample_infant((2,), STYLES["train"], BARE, False)
    plain = draw_record(infant, 0, 1.0, 1)
    faults = dataclasses.replace(infant.faults, borders=np.array([60, 0]))
    barred = draw_record(dataclasses.replace(infant, faults=faults), 0, 1.0, 1)
    under = (plain["keypoints"][:, 1] < 60) | (plain["keypoints"][:, 1] > 179)
    assert 0 < under.sum() < 21
    np.testing.assert_array_equal(barred["keypoints"][:, 2], plain["keypoints"][:, 2] * ~under)
    np.testing.assert_array_equal(barred["absent"], plain["absent"] | under)


def test_an_infant_behind_the_camera_gives_an_image_without_keypoints():
    infant = sample_infant((2,), STYLES["train"], BARE, False)
    camera = dataclasses.replace(infant.scene.camera, axes=infant.scene.camera.axes * [[1], [-1], [-1]])
    record = draw_record(dataclasses.replace(infant, scene=dataclasses.replace(infant.scene, camera=camera)), 0, 1.0, 1)
    assert not record["keypoints"].any()
    assert record["absent"].all()
    assert np.isfinite(record["box"]).all()


def test_frames_of_a_film_have_their_numbers():
    record = RenderedMovement(2, 3, variety=BARE)[4]
    assert (record["id"], record["image_id"], record["video_id"], record["frame"]) == (5, 5, 2, 1)


def test_an_index_out_of_range_and_an_unknown_split_raise():
    with pytest.raises(IndexError):
        RenderedInfants(3)[3]
    with pytest.raises(UserError, match="train, val, test"):
        RenderedMovement(3, 2, split="tset")


def test_a_fifth_of_the_images_show_no_infant():
    empty = [sample_infant((i,), STYLES["train"], Variety(), False).scene.movement is None for i in range(150)]
    assert 0.1 < np.mean(empty) < 0.3


def test_from_above_a_naked_infant_shows_its_front():
    infant = sample_infant((2,), STYLES["train"], BARE, False)
    assert abs(infant.scene.movement.roll) < 0.5
    keypoints = draw(infant.scene, 0.0).keypoints
    assert (keypoints[18:, 2] == 2).sum() >= 2  # chin, chest and navel


def test_what_lies_behind_an_object_cannot_be_seen():
    infant = sample_infant((2,), STYLES["train"], BARE, False)
    camera = infant.scene.camera
    before = draw(infant.scene, 0.0).keypoints
    wall = ellipsoid(camera.position + 0.3 * camera.axes[2], 0.25 * np.eye(3), np.array([9.0, 9, 9]))
    hidden = draw(dataclasses.replace(infant.scene, objects=(wall,)), 0.0)
    assert (before[:, 2] > 0).sum() >= 18
    assert (hidden.keypoints[:, 2] <= 1).all()
    assert hidden.absent.all()


def test_keypoints_under_a_blanket_that_touches_the_body_are_absent():
    infant = sample_infant((2,), STYLES["train"], BARE, False)
    magenta = Fabric(np.full((4, 4, 3), (255, 0, 255), np.uint8), 0.1, 0.0)
    view = draw(dataclasses.replace(infant.scene, covers=(("blanket", magenta),)), 0.0)
    x, y = view.keypoints[:, :2].round().astype(int).T
    red, green, blue = view.image[y, x].T
    covered = (green < 0.2 * red) & (green < 0.2 * blue)
    assert 2 <= covered.sum() <= 18
    np.testing.assert_array_equal(view.absent, covered | (view.keypoints[:, 2] == 0))


def test_frames_of_a_film_move_and_stay_the_same_infant():
    infant = sample_infant((4,), STYLES["train"], dataclasses.replace(Variety(), empty=False), True)
    first, later = (draw(infant.scene, time) for time in (0.0, 0.5))
    moved = np.linalg.norm(first.keypoints[:, :2] - later.keypoints[:, :2], axis=1)
    assert 0.5 < moved.max() < 200
