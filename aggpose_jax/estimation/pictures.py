"""Draws image grids of the inputs and the predictions of a network. All images are RGB uint8 [H, W, 3]."""

from collections.abc import Mapping

import numpy as np

from aggpose_jax.data.images import read_annotated_image
from aggpose_jax.data.transforms import warp
from aggpose_jax.estimation.evaluation import Evaluation
from aggpose_jax.pose import geometry
from aggpose_jax.pose.draw import blend_heatmap, draw_pose, image_grid
from aggpose_jax.pose.keypoints import KeypointSet

CROP = (256, 192)  # height and width in pixels of the crop of a person in a prediction grid
COLUMNS = 8


def training_grid(batch: Mapping[str, np.ndarray], targets: np.ndarray, keypoint_set: KeypointSet) -> np.ndarray:
    """Draws the augmented crops that the network receives, with skeletons and, in the row below, with target heatmaps.

    Args:
      batch: image [B, H, W, 3], keypoints [B, K, 2] in input pixels, weight [B, K].
      targets: target heatmaps [B, h, w, K].
      keypoint_set: set of K keypoints.
    """
    count = min(len(targets), 2 * COLUMNS)
    tiles = []
    for start in range(0, count, COLUMNS):
        rows = range(start, min(start + COLUMNS, count))
        poses = np.concatenate([batch["keypoints"], batch["weight"][..., None]], axis=-1)
        tiles += [draw_pose(batch["image"][i], poses[i], keypoint_set) for i in rows]
        tiles += [blend_heatmap(batch["image"][i], targets[i].max(-1)) for i in rows]
    return image_grid(tiles, min(COLUMNS, count))


def prediction_grid(source, evaluation: Evaluation, keypoint_set: KeypointSet) -> np.ndarray:
    """Draws pairs of ground truth and prediction: persons of lowest OKS in the first row, of median OKS in the second.

    Args:
      source: data source whose records were evaluated.
      evaluation: evaluation whose matches assign a prediction to each labelled person.
      keypoint_set: set of K keypoints.
    """
    matches = evaluation.matches
    order = np.argsort(matches.oks)
    half = COLUMNS // 2
    middle = max(len(order) // 2 - half // 2, 0)
    selected = [*order[:half], *order[middle : middle + half]]
    images = {int(image_id): image for image_id, image in _images(source, matches.image_ids[selected]).items()}
    tiles = []
    for row in selected:
        image = images[int(matches.image_ids[row])]
        region = geometry.crop_region(_tight_box(matches.truth[row]), CROP[1] / CROP[0])
        transform = geometry.crop_transform(*region, CROP)
        crop = warp(image, transform, CROP)
        for pose in (matches.truth[row], matches.predicted[row]):
            pose = np.concatenate([geometry.apply(transform, pose[:, :2]), pose[:, 2:]], axis=-1)
            tiles.append(draw_pose(crop, pose, keypoint_set))
    return image_grid(tiles, COLUMNS)


def _images(source, image_ids) -> dict[int, np.ndarray]:
    requested = set(map(int, image_ids))
    found: dict[int, np.ndarray] = {}
    for index in range(len(source)):
        if requested <= found.keys():
            break
        record = source[index]
        if record["image_id"] in requested and record["image_id"] not in found:
            found[record["image_id"]] = read_annotated_image(record["image"], record.get("size"))[0]
    return found


def _tight_box(keypoints: np.ndarray) -> np.ndarray:
    labelled = keypoints[keypoints[:, 2] > 0, :2]
    return np.concatenate([labelled.min(0), np.ptp(labelled, axis=0)])
