"""Functions that run batch jobs on videos of a stick figure, and predictors that are killed on the way."""

import pathlib

import numpy as np
from stick_figures import StickFigureFinder, render, stick_figure

from aggpose_jax.data import videos
from aggpose_jax.inference import batch_job, manifests
from aggpose_jax.inference.box_source import BoxSource
from aggpose_jax.inference.results import OutputOptions
from aggpose_jax.inference.sources import find_sources
from aggpose_jax.inference.span import WHOLE

# Elements a, b, c, d of the display matrix by rotation in degrees.
TAGS = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
PLAIN = OutputOptions(formats=("coco", "csv"), overlay=False)


def points_at(frame: int) -> np.ndarray:
    return stick_figure((150 + 2 * frame, 120), 160, 2 * frame)


def write_film(path: pathlib.Path, frames=5, turn=0) -> None:
    """Writes a video of a stick figure.

    With a `turn`, the frames are stored rotated and tagged with the display matrix, so that a player displays the same.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = (np.rot90(render(points_at(i)), turn // 90) for i in range(frames))
    videos.write_frames(((0.04 * i * i, image) for i, image in enumerate(stored)), path)
    content = path.read_bytes()
    matrix = (np.array([*TAGS[turn][:2], 0, *TAGS[turn][2:], 0, 0, 0, 1 << 14]) << 16).astype(">i4")
    place = content.find(b"tkhd") + 44
    path.write_bytes(content[:place] + matrix.tobytes() + content[place + 36 :])


def start(inputs, out, finder=None, box_source=None, options=PLAIN, span=WHOLE, part=manifests.WHOLE):
    inputs = [inputs] if isinstance(inputs, pathlib.Path) else inputs
    return batch_job.run(
        finder or StickFigureFinder(),
        find_sources(inputs, out).sources,
        out,
        box_source or BoxSource(),
        options,
        {"set": []},
        span,
        part,
    )


def contents(out: pathlib.Path) -> dict:
    """Returns the contents of all files of a job except the manifest, by relative path."""
    return {
        str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file() and p.name != "manifest.json"
    }


class Killed(BaseException):
    """Simulates that the process is killed."""


class KilledFinder(StickFigureFinder):
    """A predictor that raises Killed after `after` crops."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def start(self, crops):
        if self.crops > self.after:
            raise Killed
        return super().start(crops)
