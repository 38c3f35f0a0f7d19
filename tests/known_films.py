"""Films with true keypoints for tests: results as of predict, and truth as of `prepare synthetic`, without any network.

The infants are stick figures of the keypoints of COCO that move slowly. Errors are 2-D normal, with a spread that falls
with the score, so that the expected error at a score is known.
"""

import json
import pathlib

import numpy as np

from aggpose_jax.pose.keypoints import COCO_17, KeypointSet
from aggpose_jax.recordings import recording, tidy
from aggpose_jax.recordings.poses import collect

RATE, TORSO = 30.0, 50.0
FACTS = recording.Facts("films/a.mp4", 320, 240, 0, RATE, 0, 0, 0, "aggpose_jax 0", "network-1", "tracking")


def expected_error(score: np.ndarray) -> np.ndarray:
    """Returns the mean error in torso lengths at a score: √(π/2) times the spread of a 2-D normal distribution."""
    return spread(score) * np.sqrt(np.pi / 2)


def spread(score: np.ndarray) -> np.ndarray:
    """Returns the standard deviation of each coordinate in torso lengths at a score."""
    return 0.02 + 0.15 * (1 - score)


def draw_truth(rng: np.random.Generator, frames: int, keypoint_set: KeypointSet = COCO_17) -> np.ndarray:
    """Draws the true positions [T, K, 2] in pixels of an infant whose trunk rests."""
    time = np.arange(frames)[:, None, None] / RATE
    shape = (1, len(keypoint_set), 2)
    place = rng.uniform(60, 200, shape)
    for name, corner in {
        "left_shoulder": (170, 80), "right_shoulder": (150, 80), "left_hip": (168, 130), "right_hip": (152, 130)
    }.items():  # fmt: skip
        if name in keypoint_set.names:
            place[0, keypoint_set.names.index(name)] = corner
    still = np.array(["shoulder" in name or "hip" in name for name in keypoint_set.names])[:, None]
    size = np.where(still, 0, rng.uniform(2, 20, shape))
    return place + size * np.sin(2 * np.pi * rng.uniform(0.3, 2, shape) * time + rng.uniform(0, 6, shape))


def predict(rng: np.random.Generator, truth: np.ndarray) -> np.ndarray:
    """Draws keypoints [T, K, 3] of a network: x, y and score."""
    score = np.clip(rng.beta(4, 2) + rng.normal(0, 0.15, truth.shape[:2]), 0, 1)
    noise = rng.normal(0, 1, truth.shape) * spread(score)[..., None] * TORSO
    return np.concatenate([truth + noise, score[..., None]], axis=-1)


def write_results(folder: pathlib.Path, keypoints: list[np.ndarray], keypoint_set: KeypointSet = COCO_17) -> None:
    """Writes a recording of predict from the poses [P, K, 3] of each of its frames."""
    folder.mkdir(parents=True, exist_ok=True)
    poses = collect(keypoint_set, [i / RATE for i in range(len(keypoints))], keypoints)
    tidy.write(poses, folder / recording.TABLE)
    recording.write_facts(FACTS, poses, folder)


def to_coco(truth: np.ndarray, keypoint_set: KeypointSet = COCO_17, **image_fields) -> dict:
    """Returns true positions [T, K, 2] as COCO annotations; NaN is not labelled. Extra fields are those of images."""
    images, annotations = [], []
    for frame, points in enumerate(truth):
        size = {"file_name": f"{frame}.png", "width": 320, "height": 240}
        images.append({"id": frame, **size, **image_fields})
        seen = np.isfinite(points).all(axis=1)
        keypoints = np.concatenate([np.where(seen[:, None], points, 0), 2.0 * seen[:, None]], axis=1)
        annotations.append({
            "id": frame + 1, "image_id": frame, "category_id": 1, "bbox": [0, 0, 320, 240], "area": 9000,
            "keypoints": keypoints.ravel().tolist(),
        })  # fmt: skip
    category = {"id": 1, "name": "infant", "keypoints": list(keypoint_set.names)}
    return {"images": images, "annotations": annotations, "categories": [category]}


def write_films(folder: pathlib.Path, films: int, frames: int, seed: int = 0) -> tuple[pathlib.Path, pathlib.Path]:
    """Writes films of one infant each; returns the folder of results and that of the truth."""
    results, truths = folder / "results", folder / "truth"
    truths.mkdir(parents=True)
    for film in range(films):
        rng = np.random.default_rng((seed, film))
        truth = draw_truth(rng, frames)
        write_results(results / f"film_{film}", list(predict(rng, truth)[:, None]))
        (truths / f"film_{film}.json").write_text(json.dumps(to_coco(truth)))
    return results, truths
