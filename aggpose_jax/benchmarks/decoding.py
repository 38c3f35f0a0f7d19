"""Measures the decoding of heatmaps and the suppression of double poses beside plain loops that compute the same."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from aggpose_jax.benchmarks import timing
from aggpose_jax.benchmarks.measurements import Measurement
from aggpose_jax.benchmarks.programs import compile_program
from aggpose_jax.pose import metrics
from aggpose_jax.pose.codec import Codec, blur_matrix
from aggpose_jax.pose.keypoints import COCO_17

CROPS, PERSONS = 32, 100
INPUT_SIZE = (256, 192)


def measure() -> list[Measurement]:
    """Measures DARK on 32 crops with 17 heatmaps each, and OKS-NMS of 100 persons, the loops in turn with each."""
    rng = np.random.default_rng(0)
    codec = Codec(INPUT_SIZE)
    heatmaps = draw_heatmaps(codec, rng)
    program, cost = compile_program(codec.decode, heatmaps)
    times = timing.in_turn(
        {"": lambda: jax.block_until_ready(program(heatmaps)), "loops": lambda: decode_in_loops(codec, heatmaps)}
    )
    name = f"DARK, {CROPS} × {heatmaps.shape[-1]} heatmaps"
    rows = [
        Measurement(name, CROPS, times[""], cost),
        Measurement(f"{name}, loops", CROPS, times["loops"], slower=timing.ratio(times["loops"], times[""])),
    ]
    persons = draw_persons(rng)
    times = timing.in_turn(
        {
            "": lambda: metrics.oks_nms(*persons, COCO_17.sigmas),
            "loops": lambda: nms_in_loops(*persons, COCO_17.sigmas),
        }
    )
    name = f"OKS-NMS, {PERSONS} persons"
    return [
        *rows,
        Measurement(name, PERSONS, times[""]),
        Measurement(f"{name}, loops", PERSONS, times["loops"], slower=timing.ratio(times["loops"], times[""])),
    ]


def draw_heatmaps(codec: Codec, rng: np.random.Generator) -> np.ndarray:
    """Returns heatmaps [CROPS, h, w, 17] of Gaussians at random places, with noise."""
    height, width = codec.input_size
    points = rng.uniform(0, 1, (CROPS, len(COCO_17), 2)) * [width - 1, height - 1]
    targets, _ = codec.encode(jnp.asarray(points, jnp.float32), jnp.ones((CROPS, len(COCO_17))))
    noise = rng.normal(0, 0.02, targets.shape)
    return (np.asarray(targets) + noise).astype(np.float32)


def decode_in_loops(codec: Codec, heatmaps: np.ndarray) -> np.ndarray:
    """Returns the positions [B, K, 2] in input pixels, each heatmap after the other, as published programs do."""
    count, height, width, keypoints = heatmaps.shape
    rows, columns = (blur_matrix(size, codec.blur_kernel, codec.blur_sigma) for size in (height, width))
    found = np.zeros((count, keypoints, 2), np.float32)
    for n in range(count):
        for k in range(keypoints):
            heatmap = heatmaps[n, :, :, k]
            y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
            blurred = rows @ heatmap @ columns.T
            logs = np.log(np.maximum(blurred * heatmap.max() / blurred.max(), 1e-10))
            found[n, k] = _taylor_step(logs, int(x), int(y))
    return np.asarray(codec.to_input(jnp.asarray(found)))


def _taylor_step(logs: np.ndarray, x: int, y: int) -> tuple[float, float]:
    height, width = logs.shape
    if not (2 <= x <= width - 3 and 2 <= y <= height - 3):
        return x, y
    gradient = 0.5 * np.array([logs[y, x + 1] - logs[y, x - 1], logs[y + 1, x] - logs[y - 1, x]])
    xx = 0.25 * (logs[y, x + 2] - 2 * logs[y, x] + logs[y, x - 2])
    yy = 0.25 * (logs[y + 2, x] - 2 * logs[y, x] + logs[y - 2, x])
    xy = 0.25 * (logs[y + 1, x + 1] - logs[y - 1, x + 1] - logs[y + 1, x - 1] + logs[y - 1, x - 1])
    hessian = np.array([[xx, xy], [xy, yy]])
    if np.linalg.det(hessian) == 0:
        return x, y
    step = -np.linalg.inv(hessian) @ gradient
    return x + step[0], y + step[1]


def draw_persons(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns keypoints [PERSONS, 17, 3], scores and areas of persons of whom some are found twice."""
    different = rng.uniform(0, 400, (PERSONS // 2, len(COCO_17), 3))
    again = different + rng.normal(0, 1, different.shape)
    areas = rng.uniform(2000, 9000, PERSONS // 2)
    return np.concatenate([different, again]), rng.uniform(0, 1, PERSONS), np.concatenate([areas, areas])


def nms_in_loops(
    keypoints: np.ndarray, scores: np.ndarray, areas: np.ndarray, sigmas: Sequence[float], threshold: float = 0.9
) -> np.ndarray:
    """Returns the indices of the kept poses, see `metrics.oks_nms`, computed for each pair of persons in a loop."""
    order = list(np.argsort(-scores))
    kept = []
    while order:
        best = order.pop(0)
        kept.append(best)
        order = [
            other
            for other in order
            if metrics.oks(keypoints[best], keypoints[[other]], areas[best], areas[[other]], sigmas)[0] <= threshold
        ]
    return np.sort(kept)
