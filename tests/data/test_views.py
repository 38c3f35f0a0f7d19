"""Views of persons: random ones for training, upright ones."""

import numpy as np
import pytest

from aggpose_jax.data.views import (
    Augmentation,
    View,
    draw_rotation,
    draw_scale,
    draw_view,
    half_body,
    person_view,
    view_transform,
)
from aggpose_jax.pose import geometry
from aggpose_jax.pose.keypoints import COCO_17, INFANT_21, KeypointSet
from aggpose_jax.pose.protocol import AGGPOSE, Protocol

CORNERS = KeypointSet("corners", ("left", "right", "top"), ((0, 1),), (), (0.1,) * 3, (2,))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def full_body(keypoint_set: KeypointSet) -> np.ndarray:
    """Returns keypoints [K, 3], all labelled: the upper body at (10 … 50, 20), the lower body at (100, 100 … 200)."""
    along = np.linspace(0, 1, len(keypoint_set))
    across, down = np.stack([10 + 40 * along, 0 * along + 20], -1), np.stack([0 * along + 100, 100 + 100 * along], -1)
    points = np.where(keypoint_set.is_upper[:, None], across, down)
    return np.column_stack([points, np.full(len(keypoint_set), 2)]).astype(np.float32)


def test_the_rotation_of_a_flipped_view_applies_to_the_mirrored_image():
    view = View(np.array([30.0, 40.0]), np.array([97.0, 129.0]), rotation=90.0, flipped=True)
    transform = view_transform(view, 200, (129, 97), "unbiased")
    # A point left of the centre is right of it after mirroring, and above it after rotating counter-clockwise by 90°.
    np.testing.assert_allclose(geometry.apply(transform, [20.0, 40.0]), [48, 64 - 10])


def test_scale_is_normal_and_clipped(rng):
    drawn = np.array([draw_scale(0.35, rng) for _ in range(4000)])
    assert (drawn.min(), drawn.max()) == pytest.approx((0.65, 1.35))
    assert (drawn == drawn.max()).mean() == pytest.approx(0.159, abs=0.025)  # P(z > 1)
    assert drawn.mean() == pytest.approx(1, abs=0.02)


def test_rotation_is_zero_or_normal_and_clipped(rng):
    drawn = np.array([draw_rotation(45, 0.6, rng) for _ in range(4000)])
    assert (drawn == 0).mean() == pytest.approx(0.4, abs=0.03)
    rotated = drawn[drawn != 0]
    assert (rotated.min(), rotated.max()) == (-90, 90)
    assert (np.abs(rotated) < 45).mean() == pytest.approx(0.683, abs=0.03)  # P(|z| < 1)


def test_the_half_body_view_of_the_upper_body(rng):
    keypoints = full_body(COCO_17)
    keypoints[11:, 2] = 0
    view = half_body(keypoints, COCO_17, 0.75, rng)
    points = keypoints[:11, :2]
    np.testing.assert_allclose(view.center, points.mean(0))
    width = np.ptp(points[:, 0]) + 1  # extent in pixels; the height is 1
    np.testing.assert_allclose(view.size, [1.5 * width, 1.5 * width / 0.75])


@pytest.mark.parametrize("keypoint_set", [COCO_17, INFANT_21], ids=lambda s: s.name)
def test_half_body_views_show_the_upper_body_with_probability_0_69(rng, keypoint_set):
    keypoints = full_body(keypoint_set)
    views = [half_body(keypoints, keypoint_set, 0.75, rng) for _ in range(2000)]
    assert np.mean([view.center[1] == 20 for view in views]) == pytest.approx(0.69, abs=0.03)
    lower = next(view for view in views if view.center[1] != 20)
    np.testing.assert_allclose(lower.center, keypoints[~keypoint_set.is_upper, :2].mean(0))


@pytest.mark.parametrize(
    ("upper", "lower", "chosen"),
    [(2, 3, "lower"), (3, 2, "upper"), (2, 2, "upper"), (1, 2, None), (3, 3, "either"), (0, 0, None)],
)
def test_half_body_views_of_few_labelled_keypoints(rng, upper, lower, chosen):
    keypoints = full_body(COCO_17)
    keypoints[upper:11, 2] = 0
    keypoints[11 + lower :, 2] = 0
    views = [half_body(keypoints, COCO_17, 0.75, rng) for _ in range(20)]
    drawn = {None if view is None else "upper" if view.center[1] == 20 else "lower" for view in views}
    assert drawn == ({"upper", "lower"} if chosen == "either" else {chosen})


@pytest.mark.parametrize(("labelled", "is_half_body"), [(8, False), (9, True)])
def test_half_body_views_need_more_than_half_body_min_labelled_keypoints(rng, labelled, is_half_body):
    keypoints = full_body(COCO_17)
    keypoints[labelled:, 2] = 0
    record = {"box": np.array([0, 0, 400, 400], np.float32), "keypoints": keypoints}
    augmentation = Augmentation(half_body=1, scale=0, rotation_probability=0, flip=0)
    view = draw_view(record, COCO_17, 0.75, augmentation, rng)
    assert (view.center[1] == 20) == is_half_body
    assert (view.size[0] < 400) == is_half_body


def test_views_have_the_distribution_of_the_augmentation(rng):
    record = {"box": np.array([20, 30, 60, 80], np.float32), "keypoints": np.zeros((3, 3), np.float32)}
    views = [draw_view(record, CORNERS, 0.75, Augmentation(), rng) for _ in range(2000)]
    widths = np.array([view.size[0] for view in views])
    assert (widths.min(), widths.max()) == pytest.approx((0.65 * 75, 1.35 * 75))
    assert np.mean([view.flipped for view in views]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([view.rotation == 0 for view in views]) == pytest.approx(0.4, abs=0.04)
    assert all(view.center.tolist() == [50, 70] for view in views)
    views = [draw_view({**record, "keypoints": full_body(COCO_17)}, COCO_17, 0.75, Augmentation(), rng)
              for _ in range(2000)]  # fmt: skip
    assert np.mean([view.center.tolist() != [50, 70] for view in views]) == pytest.approx(0.3, abs=0.04)


@pytest.mark.parametrize("roll", [0.0, 70.0, 180.0])
def test_an_upright_view_is_turned_with_the_body_and_padded_around_its_keypoints(roll):
    keypoints = np.zeros((21, 3), np.float32)
    upright = {"shoulder": (20, -50), "hip": (10, 50)}  # from the middle of the body, for its left side
    for k, name in enumerate(INFANT_21.names):
        side, _, part = name.partition("_")
        if part in upright:
            x, y = upright[part]
            c, s = np.cos(np.radians(roll)), np.sin(np.radians(roll))
            x = x if side == "left" else -x
            keypoints[k] = 200 + c * x - s * y, 150 + s * x + c * y, 2
    record = {"keypoints": keypoints, "box": np.array([0, 0, 9, 9], np.float32)}
    view = person_view(record, INFANT_21, 0.75, upright=True)
    np.testing.assert_allclose(view.center, [200, 150], atol=1e-4)
    assert abs((view.rotation - roll + 180) % 360 - 180) < 1e-3
    np.testing.assert_allclose(view.size, geometry.crop_region(np.array([0, 0, 40, 100]), 0.75)[1], rtol=1e-5)
    drawn = draw_view(
        record, INFANT_21, 0.75, Augmentation(0, 8, 0, 0, 0, flip=0), np.random.default_rng(0), upright=True
    )
    assert drawn.rotation == view.rotation


def test_a_person_without_labelled_hips_is_not_turned():
    record = {"keypoints": np.zeros((21, 3), np.float32), "box": np.array([20, 30, 60, 80], np.float32)}
    view = person_view(record, INFANT_21, 0.75, upright=True)
    assert view.center.tolist() == [50, 70]
    assert view.rotation == 0


def test_shifted_views_stay_within_the_fraction_of_their_sides(rng):
    record = {"box": np.array([20, 30, 60, 80], np.float32), "keypoints": np.zeros((3, 3), np.float32)}
    augmentation = Augmentation(0, 8, 0, 0, 0, flip=0, shift=0.1)
    centers = np.array([draw_view(record, CORNERS, 0.75, augmentation, rng).center for _ in range(500)])
    np.testing.assert_allclose(np.abs(centers - [50, 70]).max(0), [7.5, 10], rtol=0.05)
    np.testing.assert_allclose(centers.mean(0), [50, 70], atol=1)


def test_views_are_shifted_with_their_probability(rng):
    record = {"box": np.array([20, 30, 60, 80], np.float32), "keypoints": np.zeros((3, 3), np.float32)}
    augmentation = Augmentation(0, 8, 0, 0, 0, flip=0, shift=0.1, shift_probability=0.3)
    views = [draw_view(record, CORNERS, 0.75, augmentation, rng) for _ in range(1000)]
    assert np.mean([view.center.tolist() != [50, 70] for view in views]) == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize(("protocol", "labelled", "center", "width"), [
    (AGGPOSE, True, [50, 70], 75),
    (Protocol(pixel_center=True), True, [49.5, 69.5], 75),
    (Protocol(pixel_center=True, larger_boxes=True), True, [50, 70], 76.25),  # 61 × 1.25
    (Protocol(pixel_center=True, larger_boxes=True), False, [49.5, 69.5], 75),  # detected boxes stay
])  # fmt: skip
def test_view_of_a_box_follows_the_protocol(protocol, labelled, center, width):
    record = {"box": np.array([20, 30, 60, 80], np.float32), "keypoints": np.full((3, 3), 2.0 * labelled, np.float32)}
    view = person_view(record, CORNERS, 0.75, upright=False, protocol=protocol)
    assert view.center.tolist() == center
    assert view.size[0] == pytest.approx(width)


def test_windows_have_their_middle_at_the_person_and_differ_in_size(rng):
    record = {"box": np.array([20, 30, 60, 80], np.float32), "keypoints": np.zeros((3, 3), np.float32)}
    augmentation = Augmentation(0, 8, 0, 0, 0, flip=0, window=0.5)
    views = [draw_view(record, CORNERS, 0.75, augmentation, rng) for _ in range(1000)]
    windows = [view for view in views if view.center.tolist() != [50, 70]]
    assert len(windows) / 1000 == pytest.approx(0.5, abs=0.06)
    sides = np.array([view.size for view in windows]) / [75, 100]  # 75 × 100: the view of the person
    np.testing.assert_allclose(sides[:, 0], sides[:, 1])
    np.testing.assert_allclose([sides.min(), np.median(sides), sides.max()], [0.4, 1, 2.5], rtol=0.1)
    distances = np.abs(np.array([view.center for view in windows]) - [50, 70]) / [75, 100]
    np.testing.assert_allclose(distances.max(0), 0.5, atol=0.02)
