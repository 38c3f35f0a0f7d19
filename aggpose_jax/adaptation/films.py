"""What a network finds in films: the keypoints of every frame, and those of some frames and of their mirror images."""

import dataclasses
import math
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from aggpose_jax import io
from aggpose_jax.config import Config
from aggpose_jax.data.videos import VideoFrame
from aggpose_jax.data.views import MIN_KEYPOINT_SCORE, body_roll, box_view
from aggpose_jax.errors import UserError
from aggpose_jax.estimation.restore import restore
from aggpose_jax.inference import batch_job
from aggpose_jax.inference.box_source import BoxSource
from aggpose_jax.inference.finished_jobs import FinishedSource, read_job
from aggpose_jax.inference.predictor import Predictor
from aggpose_jax.inference.progress import Progress, show_progress
from aggpose_jax.inference.results import OutputOptions
from aggpose_jax.inference.sources import Source
from aggpose_jax.labels.choice import scale
from aggpose_jax.labels.pictures import selected_frames

# Frames of all films that are examined; of more, every n-th is. Neighbouring frames are nearly identical, and a data
# set of a few thousand frames is enough to fine-tune a network.
MAX_FRAMES = 2000


class Network(NamedTuple):
    """A network that finds keypoints.

    Attributes:
      config: its configuration.
      predictor: finds keypoints as `aggpose predict` does.
      plain: the same without the flip test, so that a crop and its mirror image are estimated separately.
    """

    config: Config
    predictor: Predictor
    plain: Predictor


class Film(NamedTuple):
    """What a network finds in the T frames of a film, of which F are examined.

    Attributes:
      name: name of the film among the results.
      path: the film.
      rows: [F] numbers of the examined frames.
      keypoints: [T, K, 3] keypoints as of `aggpose predict`; NaN in a frame without a pose.
      straight, mirrored: [F, K, 3] keypoints of the crop of that pose, and of its mirror image, in pixels of the frame.
      torso: median length of the torso in pixels.
    """

    name: str
    path: pathlib.Path
    rows: np.ndarray
    keypoints: np.ndarray
    straight: np.ndarray
    mirrored: np.ndarray
    torso: float


def load(checkpoint: pathlib.Path, experiment: str | None = None, overrides: Sequence[str] = ()) -> Network:
    """Returns a network; see `restore` for the arguments and errors."""
    restored = restore(checkpoint, experiment, overrides)
    plain = dataclasses.replace(restored.model, flip_test=False)
    return Network(restored.config, Predictor(restored.model, restored.variables), Predictor(plain, restored.variables))


def examine(network: Network, sources: Sequence[Source], folder: pathlib.Path) -> tuple[list[Film], list[str]]:
    """Predicts films and examines some of their frames; what an earlier call has finished is read back.

    Args:
      network: the network.
      sources: the films.
      folder: gets the results, keypoints/ as of `aggpose predict` and mirrored/FILM.npz; that of no other network.

    Returns:
      The films that can be read, and a message for each of the others.

    Raises:
      UserError: no film can be read, or the folder cannot be written.
    """
    options = OutputOptions(("csv",), overlay=False)
    summary = batch_job.run(network.predictor, sources, folder / "keypoints", BoxSource(), options, {})
    if len(summary.failures) == len(sources):
        raise UserError(f"no film can be read; the first: {summary.failures[0]}")
    found = read_job(folder / "keypoints", network.predictor.keypoint_set)
    rows = spread([len(one.poses.numbers) for one in found])
    with show_progress(sum(map(len, rows))) as bar:
        films = [
            _film(network, source, chosen, folder / "mirrored" / f"{source.name}.npz", bar)
            for source, chosen in zip(found, rows, strict=True)
        ]
    return films, summary.failures


def spread(lengths: Sequence[int], most: int = MAX_FRAMES) -> list[np.ndarray]:
    """Returns the numbers of the examined frames of films of these lengths: every n-th frame, at most `most` of all."""
    every = max(1, math.ceil(sum(lengths) / most))
    starts = np.cumsum([0, *lengths])[:-1]
    return [np.arange(-start % every, length, every) for start, length in zip(starts, lengths, strict=True)]


def _film(network: Network, source: FinishedSource, rows: np.ndarray, cache: pathlib.Path, bar: Progress) -> Film:
    poses = source.poses
    keypoints = np.full((len(poses.numbers), len(poses.keypoint_set), 3), np.nan)
    keypoints[poses.row] = poses.keypoints  # One infant is tracked.
    (path,) = source.paths
    stored = dict(np.load(cache)) if cache.exists() else {}
    if not (stored and np.array_equal(stored["rows"], rows)):
        bar.set_description(f"mirror images of {source.name}")
        straight, mirrored = estimate_both(network.plain, path, rows, keypoints[rows], bar)
        stored = {"rows": rows, "straight": straight, "mirrored": mirrored}
        with io.atomic_path(cache) as temporary, temporary.open("wb") as file:
            np.savez(file, **stored)
    torso = scale(keypoints, poses.keypoint_set)
    return Film(source.name, path, rows, keypoints, stored["straight"], stored["mirrored"], torso)


def estimate_both(
    predictor: Predictor, path: pathlib.Path, rows: np.ndarray, poses: np.ndarray, bar: Progress
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the keypoints [F, K, 3] of crops around poses, and those of the mirror images of the crops.

    Both are in pixels of the frame, and left is the left of the infant; NaN without a pose.

    Args:
      predictor: of a network without the flip test.
      path: the film.
      rows: [F] numbers of the frames.
      poses: [F, K, 3] poses in them; NaN where there is none.
      bar: counts the frames.
    """
    straight, mirrored = np.full_like(poses, np.nan), np.full_like(poses, np.nan)
    usable = {int(row): i for i, row in enumerate(rows) if (poses[i, :, 2] > MIN_KEYPOINT_SCORE).sum() >= 2}
    for frame in selected_frames(path, usable):
        i = usable[frame.index]
        straight[i], mirrored[i] = _estimate_both(predictor, frame, poses[i])
        bar.update()
    return straight, mirrored


def _estimate_both(predictor: Predictor, frame: VideoFrame, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    keypoint_set = predictor.keypoint_set
    view = box_view(pose, body_roll(pose, keypoint_set) or 0.0, predictor.aspect)
    straight, mirrored = predictor.estimate([(frame.image, view), (frame.image, view._replace(flipped=True))])
    return straight, mirrored[keypoint_set.flip_permutation]
