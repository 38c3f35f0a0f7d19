"""Movement features of one infant in one film.

They are those of Chambers et al. (2020), "Computer vision to automatically assess infant neuromotor risk", for each
side of the body, with the curvature of the paths and the amplitude in the band of fidgety movements. The names read
LIMB_QUANTITY_STATISTIC, such as left_wrist_x_velocity_iqr; `unit` returns their units.
"""

from collections.abc import Callable, Sequence

import numpy as np

from aggpose_jax.pose.keypoint_files import plain
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.timeseries import bands, torso, uniform

RATE = 30.0  # samples per second from which all features are computed, so that films of other rates are comparable
MIN_SAMPLES = 30  # a feature of fewer samples, one second, is NaN
ENTROPY_SECONDS = 5  # entropy grows with duration: it is the mean over parts that hold this many seconds of samples
POSITION_STEP, ANGLE_STEP = 0.01, 1.0  # rounding of positions (torso lengths) and angles (degrees) for the entropy
MOVING = 0.1  # torso lengths per second; below it the direction of a path, and so its curvature, is noise
SIDES = ("left", "right")
ENDS = ("wrist", "ankle")
JOINTS = {  # joint: the points whose directions from it enclose its angle
    "shoulder": ("elbow", "hip"),
    "elbow": ("shoulder", "wrist"),
    "hip": ("shoulder", "knee"),
    "knee": ("hip", "ankle"),
}
UNITS = {  # part of a feature's name: unit; the first that occurs in the name counts
    "correlation": "1",
    "entropy": "nats",
    "curvature": "1/torso lengths",
    "amplitude": "torso lengths",
    "angle_velocity": "degrees/s",
    "angle_acceleration": "degrees/s²",
    "angle": "degrees",
    "velocity": "torso lengths/s",
    "speed": "torso lengths/s",
    "acceleration": "torso lengths/s²",
    "": "torso lengths",
}


def unit(feature: str) -> str:
    """Returns the unit of a feature."""
    return next(unit for part, unit in UNITS.items() if part in feature)


def of_persons(
    position: np.ndarray, predicted: np.ndarray, time: np.ndarray, keypoint_set: KeypointSet
) -> list[dict[str, float]]:
    """Returns the features of each of the P persons of a film, see `features`.

    Args:
      position: [T, P, K, 2] pixels, of a cleaned series; NaN where missing.
      predicted: [T, P, K, 2] pixels, of the network, from which the film's torso is measured, as in `torso.of_film`.
      time: [T] seconds, rising.
      keypoint_set: names of the K keypoints.
    """
    aligned = torso.align(position, torso.of_film(predicted, keypoint_set))
    return [features(aligned[:, person], time, keypoint_set.names) for person in range(aligned.shape[1])]


def features(position: np.ndarray, time: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Returns the features by name, always the same names in the same order.

    Velocity and acceleration are central differences at RATE, without smoothing.

    Args:
      position: [T, K, 2] in torso lengths, aligned with the film's trunk; NaN where missing.
      time: [T] seconds, rising.
      names: of the K keypoints; spelling and case of separators do not matter.

    Returns:
      A value for each feature; NaN if its keypoints are not in the set or have too few values.
    """
    index = {plain(name): k for k, name in enumerate(names)}
    sampled = uniform.resample(position, time, RATE)
    missing = np.full((len(sampled), 2), np.nan)

    def path(side: str, part: str) -> np.ndarray:
        return sampled[:, index[f"{side}_{part}"]] if f"{side}_{part}" in index else missing

    result: dict[str, float] = {}
    for end in ENDS:
        left, right = (path(side, end) for side in SIDES)
        for side, points in zip(SIDES, (left, right), strict=True):
            result |= _of_path(f"{side}_{end}", points)
        for axis, letter in enumerate("xy"):
            result[f"{end}s_{letter}_correlation"] = correlation(left[:, axis], right[:, axis])
    for joint, (first, second) in JOINTS.items():
        angles = [angle(path(side, first), path(side, joint), path(side, second)) for side in SIDES]
        for side, values in zip(SIDES, angles, strict=True):
            result |= _of_angle(f"{side}_{joint}_angle", values)
        result[f"{joint}s_angle_correlation"] = correlation(*angles)
    return result


def _of_path(limb: str, points: np.ndarray) -> dict[str, float]:
    """Returns the features of the positions [N, 2] of a wrist or ankle."""
    velocity = derivative(points)
    acceleration = derivative(velocity)
    speed = np.linalg.norm(velocity, axis=1)
    result = {}
    for axis, letter in enumerate("xy"):
        result[f"{limb}_{letter}_median"] = of_enough(np.median, points[:, axis])
        result[f"{limb}_{letter}_iqr"] = of_enough(_iqr, points[:, axis])
        result[f"{limb}_{letter}_velocity_iqr"] = of_enough(_iqr, velocity[:, axis])
        result[f"{limb}_{letter}_acceleration_iqr"] = of_enough(_iqr, acceleration[:, axis])
    result[f"{limb}_speed_median"] = of_enough(np.median, speed)
    entropies = [entropy(points[:, axis], POSITION_STEP) for axis in range(2)]
    result[f"{limb}_entropy_{ENTROPY_SECONDS}s"] = float(np.mean(entropies))
    result[f"{limb}_curvature_median"] = of_enough(np.median, curvature(velocity, acceleration))
    result[f"{limb}_amplitude_{bands.name(bands.FIDGETY)}hz"] = bands.amplitude(points, RATE, bands.FIDGETY)
    return result


def _of_angle(joint: str, values: np.ndarray) -> dict[str, float]:
    """Returns the features of the angles [N] of a joint."""
    velocity = derivative(values)
    return {
        f"{joint}_mean": of_enough(np.mean, values),
        f"{joint}_sd": of_enough(np.std, values),
        f"{joint}_entropy_{ENTROPY_SECONDS}s": entropy(values, ANGLE_STEP),
        f"{joint}_velocity_median": of_enough(np.median, np.abs(velocity)),
        f"{joint}_velocity_iqr": of_enough(_iqr, velocity),
        f"{joint}_acceleration_iqr": of_enough(_iqr, derivative(velocity)),
    }


def derivative(values: np.ndarray) -> np.ndarray:
    """Returns the change per second of values [N, …] at RATE by central differences; NaN beside missing values."""
    return np.gradient(values, axis=0) * RATE if len(values) > 1 else np.full(values.shape, np.nan)


def angle(first: np.ndarray, joint: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the [N] angles in degrees, 0 to 180, between the directions from a joint [N, 2] to two points [N, 2]."""
    a, b = first - joint, second - joint
    return np.degrees(np.abs(np.arctan2(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], (a * b).sum(axis=1))))


def curvature(velocity: np.ndarray, acceleration: np.ndarray) -> np.ndarray:
    """Returns the [N] curvatures of a path, 1 / radius, from [N, 2]; NaN where the speed is below MOVING."""
    speed = np.linalg.norm(velocity, axis=1)
    moving = np.where(speed >= MOVING, speed, np.nan)
    return np.abs(velocity[:, 0] * acceleration[:, 1] - velocity[:, 1] * acceleration[:, 0]) / moving**3


def entropy(values: np.ndarray, step: float) -> float:
    """Returns the Shannon entropy in nats of values [N] rounded to multiples of a step.

    It is the mean over successive parts of ENTROPY_SECONDS of known values; NaN if there is no complete part.
    """
    known = np.round(values[np.isfinite(values)] / step)
    size = int(ENTROPY_SECONDS * RATE)
    parts = known[: len(known) // size * size].reshape(-1, size)
    return float(np.mean([_entropy_of(part) for part in parts])) if len(parts) else float("nan")


def _entropy_of(values: np.ndarray) -> float:
    ratio = np.unique_counts(values).counts / len(values)
    return float(-(ratio * np.log(ratio)).sum())


def correlation(left: np.ndarray, right: np.ndarray) -> float:
    """Returns Pearson's correlation of [N] values of both sides where both are known; NaN if one side is constant."""
    known = np.isfinite(left) & np.isfinite(right)
    left, right = left[known], right[known]
    if len(left) < MIN_SAMPLES or np.ptp(left) == 0 or np.ptp(right) == 0:
        return float("nan")
    return float(np.corrcoef(left, right)[0, 1])


def of_enough(statistic: Callable[[np.ndarray], float], values: np.ndarray) -> float:
    """Returns a statistic of the known ones of values [N]; NaN if they are fewer than MIN_SAMPLES."""
    known = values[np.isfinite(values)]
    return float(statistic(known)) if len(known) >= MIN_SAMPLES else float("nan")


def _iqr(values: np.ndarray) -> float:
    low, high = np.percentile(values, [25, 75])
    return high - low
