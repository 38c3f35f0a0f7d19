"""Measures how fast the keypoints of a film are found and written, beside its two slowest parts alone."""

import pathlib
import tempfile

import numpy as np

from aggpose_jax.benchmarks import timing
from aggpose_jax.benchmarks.measurements import Measurement
from aggpose_jax.data import videos, writers
from aggpose_jax.data.synthetic import SyntheticMovement
from aggpose_jax.inference import batch_job
from aggpose_jax.inference.box_source import BoxSource
from aggpose_jax.inference.predictor import Predictor
from aggpose_jax.inference.results import OutputOptions
from aggpose_jax.inference.sources import find_sources

FRAMES, FPS = 300, 30
ROUNDS = 5


def measure(network: Predictor, frames: int = FRAMES, rounds: int = ROUNDS) -> list[Measurement]:
    """Measures a film of a synthetic infant, 320×240 pixels, from the file to the tables, without an overlay.

    Its frames are also decoded alone, and a crop of each goes through the network alone. A job does both at the same
    time; what it takes beyond the slower one is the search for the infant, tracking and writing.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        film = folder / "film.mp4"
        source = SyntheticMovement(1, frames, split="test")
        writers.write_video((source[index]["image"] for index in range(frames)), film, FPS)
        images = [frame.image for frame in videos.read_frames(film)]
        view = network.view(np.array([0, 0, images[0].shape[1], images[0].shape[0]], np.float64))

        def whole() -> None:
            out = pathlib.Path(tempfile.mkdtemp(dir=folder))
            options = OutputOptions(formats=("csv",), overlay=False)
            batch_job.run(network, find_sources([film], out).sources, out / "results", BoxSource(), options, {})

        def decode() -> None:
            for _ in videos.read_frames(film):
                pass

        def estimate() -> None:
            for image in images:
                network.estimate([(image, view)])

        functions = {"film to tables": whole, "  decoding alone": decode, "  crops and network alone": estimate}
        times = timing.in_turn(functions, rounds)
    return [Measurement(f"{name}, {frames} frames", frames, seconds) for name, seconds in times.items()]
