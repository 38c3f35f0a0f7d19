"""Video files become frames as a player shows them, with their times; and frames become a video file."""

import pathlib
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
from av.sidedata.sidedata import Type

from aggpose_jax import io
from aggpose_jax.errors import UserError

SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".m2ts", ".3gp", ".wmv")
TICKS = 90_000  # a second in written videos: every usual frame rate divides it
# What a file may make FFmpeg open: a playlist must not reach for the network.
_OPTIONS = {"protocol_whitelist": "file"}


# One quantiser and one thread: with x264's control of the rate, files were seen to differ from run to run.
_ENCODER = {"qp": "20", "preset": "veryfast"}


class VideoError(UserError):
    """A video that cannot be read."""


class VideoFrame(NamedTuple):
    """One picture of a video: its number from 0, its time in seconds since the first, RGB uint8 [H, W, 3]."""

    index: int
    seconds: float
    image: np.ndarray


def read_frames(
    path: str | pathlib.Path, is_wanted: Callable[[float], bool] = lambda seconds: True
) -> Iterator[VideoFrame]:
    """Decodes a video one frame after the other.

    Frames come as a player shows them: turned (and mirrored) by the display matrix that a phone writes, with square
    pixels. Times are the file's time stamps, so they are right where the frame rate varies.

    Args:
      path: of the video.
      is_wanted: says of each time in turn whether its frame is given; the others are decoded, which costs less.

    Raises:
      VideoError: naming the file, if it is missing, no video, of an unknown codec, damaged or without a frame.
    """
    path = pathlib.Path(path)
    first = last = size = None
    with _open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        step = 1 / float(stream.average_rate or 25)  # where a format keeps no time stamps
        for index, frame in enumerate(_decode(container, stream, path)):
            if last is not None:
                last = last + step if frame.time is None else float(frame.time)
            else:
                first = last = float(frame.time or 0)
            if not is_wanted(last - first):
                continue
            image = _displayed(frame, stream.sample_aspect_ratio)
            if size is None:
                size = image.shape
            elif image.shape != size:
                raise VideoError(f"{path} changes the size of its pictures at frame {index}; cut it there")
            yield VideoFrame(index, last - first, image)
    if last is None:
        raise VideoError(f"{path} has no frame that can be decoded; replace it, or leave it out")


def count_frames(path: str | pathlib.Path) -> int:
    """How many frames a video says it has, or its length and rate give; 0 where it does not tell. Nothing is decoded.

    Raises:
      VideoError: as `read_frames`.
    """
    with _open(pathlib.Path(path)) as container:
        stream = container.streams.video[0]
        if stream.frames:
            return stream.frames
        return round((container.duration or 0) / av.time_base * float(stream.average_rate or 0))


def write_frames(frames: Iterable[tuple[float, np.ndarray]], path: pathlib.Path) -> None:
    """Writes pictures uint8 [H, W, 3] RGB at their times in seconds, as H.264 in MP4.

    An odd side loses its last row or column, as H.264 wants. The file is written atomically.
    """
    with io.atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=30, options=_ENCODER)
        stream.codec_context.thread_count = 1
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS)
        for seconds, image in frames:
            height, width = (side // 2 * 2 for side in image.shape[:2])
            if not stream.codec_context.is_open:
                stream.height, stream.width = height, width
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]))
            frame.pts, frame.time_base = round(seconds * TICKS), Fraction(1, TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _open(path: pathlib.Path) -> "av.container.InputContainer":
    try:
        if path.stat().st_size == 0:
            raise VideoError(f"{path} is empty; copy it again")
        container = av.open(str(path), options=_OPTIONS)
    except av.FFmpegError as error:
        raise VideoError(f"{path} cannot be read as a video ({_reason(error)}); copy or convert it again") from error
    except OSError as error:
        raise VideoError(f"{path} cannot be read ({error.strerror}); check the path") from error
    if not container.streams.video:
        container.close()
        raise VideoError(f"{path} has no pictures in it; give a video")
    if container.streams.video[0].codec_context is None:
        container.close()
        raise VideoError(f"{path} is of a codec that cannot be decoded; convert it to H.264")
    return container


def _decode(container, stream, path: pathlib.Path) -> Iterator[av.VideoFrame]:
    count = 0
    try:
        for frame in container.decode(stream):
            yield frame
            count += 1
    except av.FFmpegError as error:
        raise VideoError(f"{path} is damaged after {count} frames ({_reason(error)}); copy it again") from error


def _displayed(frame: av.VideoFrame, pixel_aspect: Fraction | None) -> np.ndarray:
    """The picture of a frame as it is shown."""
    aspect = pixel_aspect if pixel_aspect and 0.25 < pixel_aspect < 4 else 1  # beyond, it is no aspect
    width = round(frame.width * aspect)
    image = frame.to_ndarray(format="rgb24", width=width, height=frame.height)
    matrix = frame.side_data.get(Type.DISPLAYMATRIX)
    if matrix is None:
        return image
    # Column vectors (x, y) → (a x + c y, b x + d y), y downward; the file keeps a, b, u, c, d, v, …
    a, b, _, c, d = np.frombuffer(bytes(matrix)[:20], np.int32)
    if abs(b) > abs(a):
        image, a, d = image.swapaxes(0, 1), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _reason(error: av.FFmpegError) -> str:
    return (error.strerror or str(error)).rstrip(" .").lower()
