"""Files of chosen frames, and the names of videos that may not be chosen from."""

import csv
import io as text_io
import pathlib
from collections.abc import Collection, Sequence
from typing import NamedTuple

from aggpose_jax import io
from aggpose_jax.data import images, videos
from aggpose_jax.data.annotations import read_annotations
from aggpose_jax.errors import UserError

COLUMNS = ("video", "frame", "time", "image", "error", "reasons")


class ChosenFrame(NamedTuple):
    """A frame worth labelling.

    Attributes:
      video: name of the video, as the folder of its results.
      frame: number of the frame from 0, or of the image.
      time: seconds since the first frame; None for an image.
      image: name of the image; empty for a video.
      error: expected error, see `choice`.
      reasons: why it was chosen.
    """

    video: str
    frame: int
    time: float | None
    image: str
    error: float
    reasons: tuple[str, ...]


def write(frames: Sequence[ChosenFrame], path: pathlib.Path) -> None:
    """Writes chosen frames atomically: as a JSON list if the file is named .json, otherwise as CSV."""
    if path.suffix == ".json":
        io.write_json(path, [frame._asdict() for frame in frames], indent=1)
        return
    text = text_io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    for frame in frames:
        time = "" if frame.time is None else f"{frame.time:.6f}"
        lines.writerow((frame.video, frame.frame, time, frame.image, frame.error, "; ".join(frame.reasons)))
    io.write_text(path, text.getvalue())


def read(path: pathlib.Path) -> set[tuple[str, int]]:
    """Returns the video and the number of each frame of a file that `write` has written.

    Raises:
      UserError: the file cannot be read or has no columns video and frame.
    """
    try:
        if path.suffix == ".json":
            lines = io.read_json(path)
        else:
            with open(path, newline="", encoding="utf-8-sig") as file:
                lines = list(csv.DictReader(file))
        return {(str(line["video"]), int(line["frame"])) for line in lines}  # type: ignore[attr-defined]
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the path") from error
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"{path} is no list of frames ({error}); give a file that prepare choose has written"
        ) from error


def read_excluded(paths: Sequence[pathlib.Path]) -> set[str]:
    """Returns names of videos, infants and images that may not be chosen.

    Args:
      paths: COCO annotation files (.json), of which the video_id, infant_id and file_name of all images count, and text
        files with a name on each line. File names count with and without their suffix.

    Raises:
      UserError: a file cannot be read.
    """
    names: set[str] = set()
    for path in paths:
        if path.suffix == ".json":
            for image in read_annotations(path)["images"]:
                names |= {str(image[key]) for key in ("video_id", "infant_id", "file_name") if key in image}
        else:
            try:
                names |= {line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()}
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(f"{path} cannot be read as a list of names ({error}); give a text file") from error
    return names | set(map(_without_suffix, names))


def is_excluded(name: str, excluded: Collection[str]) -> bool:
    """Returns whether a name, one of its folders or its file, without suffix or with it, is excluded."""
    short = _without_suffix(name)
    parts = (*pathlib.PurePosixPath(name).parts, pathlib.PurePosixPath(short).name)
    return not {name, short, *parts}.isdisjoint(excluded)


def _without_suffix(name: str) -> str:
    """Returns a name without the suffix of an image or video, if it has one."""
    path = pathlib.PurePosixPath(name)
    return name.removesuffix(path.suffix) if path.suffix.lower() in (*images.SUFFIXES, *videos.SUFFIXES) else name
