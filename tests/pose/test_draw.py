"""Tests of drawing poses."""

import numpy as np
import pytest

from aggpose_jax.pose import draw
from aggpose_jax.pose.keypoints import COCO_17, INFANT_21, KeypointSet

CROSS = KeypointSet(
    "cross",
    ("left_hand", "left_arm", "right_arm", "right_hand", "chin", "navel"),
    ((0, 3), (1, 2)),
    ((0, 1), (2, 3), (4, 5), (1, 2), (4, 0)),
    (0.1,) * 6,
    (0, 1),
)
GREY = np.full((200, 200, 3), 128, np.uint8)


@pytest.fixture
def keypoints() -> np.ndarray:
    """Returns keypoints [6, 3] far enough apart that nothing else is drawn over the middle of a limb."""
    points = np.array([[160, 20], [160, 100], [40, 100], [40, 20], [100, 20], [100, 180]], float)
    return np.column_stack([points, np.ones(6)])


def point_on_limb(keypoints: np.ndarray, a: int, b: int, fraction: float = 0.5) -> tuple[int, int]:
    """Returns the (row, column) of a point on the limb from a (fraction 0) to b (fraction 1)."""
    x, y = keypoints[a, :2] * (1 - fraction) + keypoints[b, :2] * fraction
    return round(y), round(x)


def test_limbs_have_the_colour_of_their_side(keypoints):
    drawn = draw.draw_pose(GREY, keypoints, CROSS)
    assert tuple(drawn[point_on_limb(keypoints, 0, 1)]) == draw.LEFT
    assert tuple(drawn[point_on_limb(keypoints, 2, 3)]) == draw.RIGHT
    assert tuple(drawn[point_on_limb(keypoints, 4, 5)]) == draw.MIDDLE
    assert tuple(drawn[point_on_limb(keypoints, 1, 2, 0.25)]) == draw.MIDDLE
    assert tuple(drawn[point_on_limb(keypoints, 4, 0)]) == draw.LEFT
    assert len({draw.LEFT, draw.RIGHT, draw.MIDDLE}) == 3


def test_the_input_image_is_not_modified(keypoints):
    image = GREY.copy()
    drawn = draw.draw_pose(image, keypoints, CROSS)
    np.testing.assert_array_equal(image, GREY)
    assert drawn.shape == GREY.shape
    assert drawn.dtype == np.uint8
    assert (drawn[0] == 128).all()


def test_points_at_or_below_the_threshold_and_their_limbs_are_not_drawn(keypoints):
    keypoints[0, 2], keypoints[3, 0] = 0.3, np.nan
    drawn = draw.draw_pose(GREY, keypoints, CROSS, threshold=0.3)
    assert tuple(drawn[point_on_limb(keypoints, 0, 1)]) == (128, 128, 128)
    assert tuple(drawn[20, 160]) == (128, 128, 128)
    assert (drawn[:60, 20:60] == 128).all()  # around the NaN keypoint
    assert tuple(drawn[point_on_limb(keypoints, 4, 5)]) == draw.MIDDLE


def test_keypoints_with_score_0_are_not_drawn(keypoints):
    np.testing.assert_array_equal(draw.draw_pose(GREY, np.zeros((6, 3)), CROSS), GREY)


def test_limbs_to_points_outside_of_the_image_are_drawn(keypoints):
    keypoints[0, :2], keypoints[5, :2] = [1e12, -1e12], [100, 260]
    drawn = draw.draw_pose(GREY, keypoints, CROSS)
    assert tuple(drawn[190, 100]) == draw.MIDDLE


@pytest.mark.parametrize("keypoint_set", [COCO_17, INFANT_21], ids=lambda s: s.name)
def test_built_in_keypoint_sets_use_all_colours(keypoint_set):
    rng = np.random.default_rng(0)
    keypoints = np.column_stack([rng.uniform(10, 190, (len(keypoint_set), 2)), np.ones(len(keypoint_set))])
    colours = {tuple(pixel) for pixel in draw.draw_pose(GREY, keypoints, keypoint_set).reshape(-1, 3).tolist()}
    assert {draw.LEFT, draw.RIGHT, draw.MIDDLE} <= colours


def test_image_grid_places_images_row_by_row():
    images = [np.full((20, 10, 3), level, np.uint8) for level in (50, 100, 150)]
    images[1] = images[1][:10]
    grid = draw.image_grid(images, columns=2)
    gap = draw.GAP
    assert grid.shape == (2 * 20 + 3 * gap, 2 * 10 + 3 * gap, 3)
    assert (grid[gap : gap + 20, gap : gap + 10] == 50).all()
    assert (grid[gap + 5 : gap + 15, 2 * gap + 10 : 2 * gap + 20] == 100).all()  # centred in its cell
    assert (grid[2 * gap + 20 : 2 * gap + 40, gap : gap + 10] == 150).all()
    for level, pixels in ((50, 200), (100, 100), (150, 200)):
        assert (grid == level).all(-1).sum() == pixels


def test_heatmap_grid_is_brightest_at_each_peak():
    heatmaps = np.zeros((17, 41, 2))
    heatmaps[4, 9, 0] = heatmaps[12, 3, 1] = 1
    crop = np.full((65, 161, 3), 100, np.uint8)
    grid = draw.heatmap_grid(crop, heatmaps, ("left_eye", "navel"), columns=1).astype(int)
    tile = 65 + draw.CAPTION_HEIGHT
    assert grid.shape == (2 * tile + 3 * draw.GAP, 161 + 2 * draw.GAP, 3)
    for k, (row, column) in enumerate([(16, 36), (48, 12)]):  # 64 / 16 and 160 / 40 pixel distances: a factor of 4
        top = draw.GAP + k * (tile + draw.GAP) + draw.CAPTION_HEIGHT
        blended = grid[top : top + 65, draw.GAP : draw.GAP + 161]
        warmth = blended[..., 0] - blended[..., 2]
        assert np.unravel_index(blended.sum(-1).argmax(), (65, 161)) == (row, column)
        assert warmth[row, column] > 50
        assert (blended[row + 8 :, :] == 75).all()
        caption = grid[top - draw.CAPTION_HEIGHT : top, draw.GAP : draw.GAP + 161]
        assert caption.max() > 150


def test_heatmap_grid_enlarges_small_crops():
    crop = np.random.default_rng(0).integers(0, 256, (8, draw.MIN_TILE_WIDTH // 2, 3), np.uint8)
    grid = draw.heatmap_grid(crop, np.zeros((2, 20, 1)), ("navel",), columns=1)
    assert grid.shape == (16 + draw.CAPTION_HEIGHT + 2 * draw.GAP, draw.MIN_TILE_WIDTH + 2 * draw.GAP, 3)


def test_keypoint_chart_numbers_the_points_and_lists_their_names(keypoints):
    chart = draw.keypoint_chart(GREY, keypoints, CROSS)
    assert chart.shape == (200, 200 + draw.LIST_WIDTH, 3)
    without_numbers = draw.draw_pose(GREY, keypoints, CROSS)
    for k, colour in enumerate((draw.LEFT, draw.LEFT, draw.RIGHT, draw.RIGHT, draw.MIDDLE, draw.MIDDLE)):
        x, y = keypoints[k, :2].astype(int)
        number = np.s_[y - 18 : y - 5, x + 6 : x + 16]
        assert (chart[number] != without_numbers[number]).any()
        row = chart[round(k * 200 / 6) : round((k + 0.7) * 200 / 6), 200:].astype(int)
        assert np.abs(row - colour).sum(-1).min() < 90  # thin letters are anti-aliased with the background


def test_mosaic_patches_have_their_mean_colour():
    image = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    means = image.reshape(3, 4, 2, 10, 3).mean((1, 3))
    pixelated = draw.mosaic(image, 3, 2).astype(int)
    np.testing.assert_allclose(pixelated, means.repeat(4, axis=0).repeat(10, axis=1), atol=0.5)
    assert (draw.mosaic(image, 0, 0) == draw.mosaic(image, 1, 1)).all()
    np.testing.assert_array_equal(draw.mosaic(image, 99, 99), image)
