"""Boxes of the subject in the films of a source of frames, by the position of each frame in its film."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from aggpose_jax.data.frames import Frames, Video
from aggpose_jax.data.images import ImageError, read_image
from aggpose_jax.errors import UserError

ASPECT_TOLERANCE = 0.02  # largest relative difference of aspect ratios by which sizes of resized frames are rounded
_THREADS = 8  # threads that read the frame numbers of a film


class FilmBoxes(NamedTuple):
    """The boxes of the subject in a film.

    Attributes:
      at: function from a frame number, from 0, to the box [4] (x, y, width, height in pixels), None without a box.
      last: number of the last frame of which something is known.
      size: (height, width) of the film in pixels; None if the boxes are in pixels of the frames of the source.
    """

    at: Callable[[int], np.ndarray | None]
    last: int
    size: tuple[int, int] | None = None


def place(source: Frames, films: Mapping[str, FilmBoxes], origin: str) -> dict[int, np.ndarray]:
    """Returns the boxes of the videos of a source that are among the films, as `ChosenFrames` takes them.

    The number of every frame is read from the source once.

    Args:
      source: the source of the frames, which may be some of the frames of each film, and resized.
      films: boxes by the names of films, which are those of the videos.
      origin: file or folder of the boxes, for messages.

    Raises:
      UserError: no video of the source is among the films, or the boxes of a film are those of another one.
    """
    videos = source.videos()
    found = {video_id: video for video_id, video in videos.items() if video.name in films}
    if not found:
        raise UserError(
            f"boxes: {origin} has boxes of {_some([*films])}, but of none of the videos of the data, "
            f"{_some([video.name for video in videos.values()])}; give the boxes of these videos"
        )
    placed = {
        video_id: _of_video(source, video_id, video, films[video.name], origin) for video_id, video in found.items()
    }
    if not any(map(len, placed.values())):
        raise UserError(f"boxes: {origin} has no box in any frame of the data; give boxes of these videos")
    return placed


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} others" if len(names) > 3 else "")


def _of_video(source: Frames, video_id: int, video: Video, film: FilmBoxes, origin: str) -> np.ndarray:
    """Returns the boxes of a video, [n, 5]: position, x, y, width, height in pixels of its frames."""
    numbers = _numbers(source, video_id, video)
    _check_length(video, numbers, film, origin)
    scale = _scale(source, video_id, video, film, origin)
    boxes = {position: film.at(number) for position, number in numbers.items()}
    rows = [(position, *(box * scale)) for position, box in boxes.items() if box is not None]
    return np.array(rows, np.float64).reshape(-1, 5)


def _numbers(source: Frames, video_id: int, video: Video) -> dict[int, int]:
    """Returns the frame numbers in the original film by position, without frames that cannot be read."""

    def number(position):
        try:
            return source.read({"video_id": video_id}, position)["frame"]
        except ImageError:
            return None

    with ThreadPoolExecutor(_THREADS) as pool:
        read = enumerate(pool.map(number, range(video.frames)))
        return {position: frame for position, frame in read if frame is not None}


def _check_length(video: Video, numbers: Mapping[int, int], film: FilmBoxes, origin: str) -> None:
    """Checks that no box is of a frame after the end of the film, which may extend to before the next stored frame."""
    known = np.array([*numbers.values()])
    end = int(known[-1] + np.diff(known).max(initial=1)) if len(known) else 0
    if film.last >= end:
        raise UserError(
            f"boxes: {origin} knows frame {film.last} of {video.name}, which has only {end} frames in the data; "
            "give the boxes of this film"
        )


def _scale(source: Frames, video_id: int, video: Video, film: FilmBoxes, origin: str) -> float:
    """Returns the factor from pixels of a film to pixels of its frames in the source."""
    if film.size is None:
        return 1.0
    try:
        height, width = read_image(source.read({"video_id": video_id}, 0)["image"]).shape[:2]
    except ImageError as error:
        raise UserError(f"boxes: the first frame of {video.name} cannot be read: {error}") from error
    across, down = width / film.size[1], height / film.size[0]
    if abs(across / down - 1) > ASPECT_TOLERANCE:
        raise UserError(
            f"boxes: {origin} is of films of {film.size[1]}×{film.size[0]} pixels, but the frames of {video.name} have "
            f"{width}×{height}; give the boxes of this film, and frames that are not cropped"
        )
    return across
