"""Tests of the image grids of batches and predictions."""

import numpy as np

from aggpose_jax.estimation import evaluation, pictures
from aggpose_jax.pose.draw import GAP
from aggpose_jax.pose.keypoints import KeypointSet

PAIR = KeypointSet("pair", ("left_hand", "right_hand", "navel"), ((0, 1),), ((0, 1),), (0.1,) * 3, (0,))


def test_training_grid_has_each_crop_with_its_pose_above_its_targets():
    rng = np.random.default_rng(0)
    image = np.full((3, 32, 24, 3), 90, np.uint8)
    batch = {
        "image": image,
        "keypoints": rng.uniform(5, 20, (3, 3, 2)).astype(np.float32),
        "weight": np.array([[1, 1, 1], [0, 0, 0], [1, 1, 1]], np.float32),
    }
    targets = np.zeros((3, 8, 6, 3), np.float32)
    targets[2, 4, 3, 1] = 1
    grid = pictures.training_grid(batch, targets, PAIR)
    assert grid.shape == (2 * (32 + GAP) + GAP, 3 * (24 + GAP) + GAP, 3)

    def tile(row, column):
        top, left = GAP + row * (32 + GAP), GAP + column * (24 + GAP)
        return grid[top : top + 32, left : left + 24]

    np.testing.assert_array_equal(tile(0, 1), image[1])  # nothing is drawn where nothing is labelled
    assert (tile(0, 0) != image[0]).any()
    assert tile(1, 2).max() > tile(1, 0).max() + 50  # the only target that is not zero


class GreyImages:
    """A source of images with one person each, every image of another grey level."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return {"image": np.full((60, 60, 3), 20 * index, np.uint8), "image_id": index}


def test_prediction_grid_has_the_worst_persons_first():
    truth = np.tile(np.array([[10, 10, 2], [50, 10, 2], [30, 50, 2]], float), (12, 1, 1))
    predicted = truth.copy()
    predicted[7, :, 0] += 30  # the worst
    predicted[4, :, 0] += 10
    ground_truth = {
        "images": [{"id": i, "width": 60, "height": 60} for i in range(12)],
        "annotations": [
            {"id": i + 1, "image_id": i, "category_id": 1, "iscrowd": 0, "area": 900.0, "bbox": [10, 10, 40, 40],
             "keypoints": truth[i].ravel().tolist(), "num_keypoints": 3}
            for i in range(12)
        ],
        "categories": [{"id": 1, "name": "person"}],
    }  # fmt: skip
    results = [
        {"image_id": i, "category_id": 1, "keypoints": predicted[i].ravel().tolist(), "score": 1.0} for i in range(12)
    ]
    scored = evaluation.score(results, ground_truth, PAIR)
    grid = pictures.prediction_grid(GreyImages(), scored, PAIR)
    height, width = pictures.CROP
    assert grid.shape[1] == pictures.COLUMNS * (width + GAP) + GAP
    greys = [grid[GAP + height // 2 + 20, GAP + column * (width + GAP) + width // 2, 0] for column in (0, 1, 2, 3)]
    np.testing.assert_allclose(greys, [140, 140, 80, 80], atol=2)
