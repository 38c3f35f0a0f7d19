"""Films of moving rendered infants, drawn ahead into videos with the true keypoints of every frame.

A folder holds `manifest.json`, which says how its films are drawn, `videos/NAME.mp4` and `annotations/videos/NAME.json`
in the COCO format, whose image ids are the frame numbers, as in `predict`. The annotations of a film are written after
its video, so that a run that was interrupted draws the films without them.
"""

import dataclasses
import functools
import pathlib

from aggpose_jax import io
from aggpose_jax.data import writers
from aggpose_jax.data.synthetic import coco_dict
from aggpose_jax.data.synthetic.drawn_ahead import claim_folder, draw_missing
from aggpose_jax.data.synthetic.infants import RenderedMovement
from aggpose_jax.data.synthetic.staging import Variety


@dataclasses.dataclass(frozen=True)
class FilmSettings:
    """How films are drawn: their number, and frames, split, seed, fps and variety of `RenderedMovement`."""

    count: int
    frames: int
    split: str
    seed: int
    fps: int
    variety: Variety

    def source(self) -> RenderedMovement:
        """Returns the source that draws the frames."""
        return RenderedMovement(
            self.count, self.frames, split=self.split, seed=self.seed, fps=self.fps, variety=self.variety
        )


def draw_films(
    folder: pathlib.Path, settings: FilmSettings, part: tuple[int, int] = (0, 1), processes: int = 1
) -> None:
    """Draws the missing films of a part (index, count) of a folder.

    Raises:
      UserError: the folder holds films with other settings, the split is unknown, or a worker process was killed.
      OSError: a film cannot be written, for example because the disk is full.
    """
    settings.source()
    claim_folder(folder, settings)
    missing = [i for i in range(settings.count) if not _annotations(folder, i).exists()]
    draw_missing(functools.partial(_draw_film, folder, settings), missing, part, processes, "film")


def _name(film: int) -> str:
    return f"video_{film + 1:06}"


def _annotations(folder: pathlib.Path, film: int) -> pathlib.Path:
    return folder / "annotations" / "videos" / f"{_name(film)}.json"


def _draw_film(folder: pathlib.Path, settings: FilmSettings, film: int) -> None:
    source, records = settings.source(), []
    (folder / "videos").mkdir(parents=True, exist_ok=True)

    def images():
        for frame in range(settings.frames):
            record = source[film * settings.frames + frame]
            yield record.pop("image")
            records.append({**record, "image_id": frame, "id": frame + 1})

    writers.write_video(images(), folder / "videos" / f"{_name(film)}.mp4", settings.fps)
    io.write_json(_annotations(folder, film), coco_dict(records))
