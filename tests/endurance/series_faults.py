"""Measures how many planted spikes and swaps the steps of `aggpose series` find, on synthetic infants. Run it by hand:

PYTHONPATH=. python tests/endurance/series_faults.py [predicted [CALIBRATION]]

Without an argument the keypoints are the true ones with smooth errors and jitter of the size of those of the network of
this package. With `predicted` they are those of the network, which takes minutes; with its calibration, those that are
left after abstention. The script prints how many planted spikes of .15 torso lengths (in 1 % of the points) and swaps
of one to seven frames (of points over .3 torso lengths apart) are found, and how many points with an error below .1
torso lengths are taken for outliers or exchanged where nothing was planted; then the error of a 1 Hz sinusoid after the
filter in a film whose frame rate falls from 30 to 15.
"""

import dataclasses
import pathlib
import sys

import numpy as np
from scipy import ndimage

from aggpose_jax.data.synthetic import SyntheticMovement
from aggpose_jax.pose.keypoints import INFANT_21
from aggpose_jax.timeseries import abstention, outliers, smoothing, swaps, torso
from aggpose_jax.timeseries import calibration as calibrations
from aggpose_jax.timeseries.abstention import ErrorModel

INFANTS, FRAMES, FPS, SEED = 12, 300, 30, 21
SPIKE, SPIKED = 0.15, 0.01  # torso lengths, and fraction of the points
APART = 0.3  # torso lengths between points that are exchanged
SWAPS, LONGEST_SWAP, BETWEEN = 6, 7, 20  # attempts per pair of a film, frames, and frames without another
# Of the network of this package on these films: standard deviations in torso lengths of the errors that last and of
# those of single frames, and the seconds within which the former change.
SMOOTH, SECONDS, JITTER = 0.06, 0.67, 0.004


@dataclasses.dataclass
class Counts:
    """Points that were planted, of these found, points that could be found falsely, and of these found."""

    planted: int = 0
    found: int = 0
    clean: int = 0
    false: int = 0

    def add(self, planted: np.ndarray, found: np.ndarray, correct: np.ndarray) -> None:
        """Adds the points [T, K] of a film; those that are neither planted nor correct do not count."""
        self.planted += planted.sum()
        self.found += (planted & found).sum()
        self.clean += (correct & ~planted).sum()
        self.false += (correct & ~planted & found).sum()

    def __str__(self) -> str:
        found, false = self.found / max(self.planted, 1), self.false / max(self.clean, 1)
        return f"{found:.4f} of {self.planted} found, {false:.6f} of {self.clean} falsely ({self.false})"


def truths(infants: int, frames: int) -> list[np.ndarray]:
    """Returns the true keypoints [T, 1, K, 2] of films in pixels; NaN outside of the image."""
    source = SyntheticMovement(infants, frames, split="test", seed=SEED, fps=FPS)
    films = []
    for video in range(infants):
        annotations = source.ground_truth(video)["annotations"]
        keypoints = np.array([one["keypoints"] for one in annotations], float).reshape(-1, 1, len(INFANT_21), 3)
        films.append(np.where(keypoints[..., 2:] > 0, keypoints[..., :2], np.nan))
    return films


def disturbed(truth: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """Returns positions [T, 1, K, 2] with errors that resemble those of a network."""
    smooth = ndimage.gaussian_filter1d(rng.standard_normal(truth.shape), SECONDS * FPS / np.sqrt(2), axis=0)
    return truth + length * (SMOOTH * smooth / smooth.std() + JITTER * rng.standard_normal(truth.shape))


def predicted(infants: int, frames: int, model: ErrorModel | None) -> list[np.ndarray]:
    """Returns the keypoints [T, 1, K, 2] that the network of this package finds in the films of `truths`.

    Those that the error model, if there is one, expects to be wrong are NaN.
    """
    from aggpose_jax.data.videos import VideoFrame
    from aggpose_jax.inference import frame_poses
    from aggpose_jax.inference.predictor import load

    predictor = load("pretrained")
    source = SyntheticMovement(infants, frames, split="test", seed=SEED, fps=FPS)
    films = []
    for video in range(infants):
        read = [VideoFrame(i, i / FPS, source[video * frames + i]["image"]) for i in range(frames)]
        film = np.full((frames, 1, len(INFANT_21), 3), np.nan)
        for item in frame_poses.track_video(predictor, read):
            film[item.frame.index, : len(item.poses)] = item.poses[:1]
        if model is not None:
            film[abstention.find(film[..., 2], model)] = np.nan
        films.append(film[..., :2])
        print(f"predicted film {video + 1}", flush=True)
    return films


def plant_spikes(position: np.ndarray, length: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns positions with spikes in random directions, and bool [T, 1, K]: where they are."""
    planted = (rng.random(position.shape[:3]) < SPIKED) & np.isfinite(position).all(axis=-1)
    angle = rng.uniform(0, 2 * np.pi, planted.shape)
    spike = SPIKE * length * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return np.where(planted[..., None], position + spike, position), planted


def plant_swaps(position: np.ndarray, length: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns positions with exchanged pairs, and bool [T, 1, K]: where they are."""
    planted = np.zeros(position.shape[:3], bool)
    for pair in map(list, INFANT_21.flip_pairs):
        apart = np.linalg.norm(position[:, 0, pair[0]] - position[:, 0, pair[1]], axis=-1) > APART * length
        for start in rng.integers(1, len(position) - LONGEST_SWAP - 1, SWAPS):
            end = start + rng.integers(1, LONGEST_SWAP + 1)
            if apart[start - 1 : end + 1].all() and not planted[max(start - BETWEEN, 0) : end + BETWEEN, 0, pair].any():
                planted[start:end, 0, pair] = True
    return swaps.exchange(position, planted, INFANT_21.flip_permutation), planted


def measure(truth: list[np.ndarray], films: list[np.ndarray]) -> tuple[Counts, Counts]:
    """Returns what is found of planted spikes, and of planted swaps, in films [T, 1, K, 2] with a known truth."""
    spiked, swapped = Counts(), Counts()
    for number, (true, film) in enumerate(zip(truth, films, strict=True)):
        rng = np.random.default_rng(number)
        time = np.arange(len(film)) / FPS
        length = torso.of_film(film, INFANT_21).length
        correct = np.linalg.norm(film - true, axis=-1) < 0.1 * length
        changed, planted = plant_spikes(film, length[0], rng)
        spiked.add(planted, outliers.find(changed, time, length), correct)
        changed, planted = plant_swaps(film, length[0], rng)
        found, _ = swaps.find(changed, time, INFANT_21.flip_pairs, length)
        swapped.add(planted, found, correct)
    return spiked, swapped


def sinusoid_errors() -> list[tuple[float, float]]:
    """Returns the relative errors of frequency and amplitude of a smoothed sinusoid in both halves of a film."""
    time = np.concatenate([np.arange(300) / 30, 10 + np.arange(150) / 15])
    wave = 0.3 * np.stack([np.sin(2 * np.pi * time), np.cos(2 * np.pi * time)], axis=-1)
    smoothed = smoothing.smooth(wave[:, None, None], time, smoothing.Butterworth())[:, 0, 0]
    errors = []
    for half in (time < 10, time >= 10):
        phase = np.unwrap(np.arctan2(*smoothed[half].T))
        frequency = np.polyfit(time[half], phase, 1)[0] / (2 * np.pi)
        errors.append((frequency - 1, np.linalg.norm(smoothed[half], axis=-1).mean() / 0.3 - 1))
    return errors


def main() -> None:
    """Prints all figures."""
    truth = truths(INFANTS, FRAMES)
    if sys.argv[1:2] == ["predicted"]:
        films = predicted(INFANTS, FRAMES, calibrations.read(pathlib.Path(sys.argv[2])) if len(sys.argv) > 2 else None)
    else:
        rng = np.random.default_rng(0)
        films = [disturbed(true, torso.of_film(true, INFANT_21).length[0], rng) for true in truth]
    error = [
        np.linalg.norm(f - t, axis=-1) / torso.of_film(t, INFANT_21).length for t, f in zip(truth, films, strict=True)
    ]
    print(f"median error {np.nanmedian(error):.3f} torso lengths, below .1 in {np.mean(np.array(error) < 0.1):.1%}")
    spiked, swapped = measure(truth, films)
    print(f"spikes: {spiked}\nswaps:  {swapped}")
    for name, (frequency, amplitude) in zip(("30", "15"), sinusoid_errors(), strict=True):
        print(f"1 Hz at {name} frames per second: frequency {frequency:+.2%}, amplitude {amplitude:+.2%}")


if __name__ == "__main__":
    main()
