"""Reads video files as frames with times, oriented as a player displays them, and writes frames to video files.

A damaged video is read on past the damage, and what it lost is counted.
"""

import contextlib
import dataclasses
import errno
import logging
import math
import pathlib
from collections.abc import Callable, Generator, Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

import av
import av.logging
import numpy as np
from av.sidedata.sidedata import Type

from aggpose_jax import io
from aggpose_jax.errors import UserError

SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".m2ts", ".ts", ".3gp", ".wmv")
TICKS = 90_000  # time units per second in written videos; a multiple of every usual frame rate
# FFmpeg may open local files only, so that a playlist cannot access the network.
_OPTIONS = {"protocol_whitelist": "file"}
COMPLETE = 0.98  # fraction of the promised frames that must be decoded
# FFmpeg's errors are counted, and not printed.
av.logging.set_level(av.logging.ERROR)
logging.getLogger("libav").setLevel(logging.CRITICAL)

# A constant quantiser and one thread make the files reproducible: with x264's rate control they differed between runs.
_ENCODER = {"qp": "20", "preset": "veryfast"}


class VideoError(UserError):
    """Raised for a video that cannot be read. The message names the file and the reason."""


@dataclasses.dataclass
class Decoding:
    """What decoding a video has found, complete when its last frame has been read.

    Attributes:
      promised: number of frames that the file should contain: those in the sample table of an MP4 file, or else the
        duration divided by the median time between frames; 0 if neither is known.
      decoded: number of frames that were decoded.
      errors: number of errors that the decoder reported, and of frames without a rising time stamp.
      size: width and height of a displayed frame in pixels.
      rotation: degrees by which stored frames are turned clockwise to be displayed.
      header_rate: frames per second that the header states; 0 if it states none.
    """

    promised: int = 0
    decoded: int = 0
    errors: int = 0
    size: tuple[int, int] = (0, 0)
    rotation: int = 0
    header_rate: float = 0.0

    def fault(self) -> str:
        """Returns what is wrong with the video, or "" if there were no errors and hardly any frame is missing."""
        missing = self.decoded < COMPLETE * self.promised
        if not missing and not self.errors:
            return ""
        errors = f", decoding errors: {self.errors}" if self.errors else ""
        return f"is damaged: {self.decoded} of {max(self.promised, self.decoded)} frames could be decoded{errors}"


class VideoFrame(NamedTuple):
    """A frame of a video: its number from 0, its time in seconds since the first frame, RGB uint8 [H, W, 3]."""

    index: int  # type: ignore[assignment]  # hides the method tuple.index, which nothing calls
    seconds: float
    image: np.ndarray


def read_frames(
    path: str | pathlib.Path,
    is_selected: Callable[[float], bool] = lambda seconds: True,
    decoding: Decoding | None = None,
) -> Generator[VideoFrame, None, None]:
    """Decodes a video and yields its frames one after the other.

    Frames are as a player displays them: rotated (and mirrored) by the display matrix that phones write, with square
    pixels. Times are the time stamps of the file, so they are correct for variable frame rates, and rise from frame to
    frame. What cannot be decoded is left out.

    Args:
      path: of the video.
      is_selected: called with the time in seconds of every frame in turn; frames for which it returns False are decoded
        but not converted to RGB, which is cheaper.
      decoding: is filled with what decoding has found.

    Raises:
      VideoError: the file is missing, not a video, of an unknown codec, or without a frame. The message names the file.
    """
    path = pathlib.Path(path)
    decoding = Decoding() if decoding is None else decoding
    times: list[float] = []
    size: tuple[int, ...] | None = None
    with _open(path) as container, _threaded(_video_stream(container)) as stream:
        decoding.header_rate = float(stream.average_rate or 0)
        step = 1 / _frame_rate(stream)  # seconds per frame, for formats without time stamps
        for frame in _decode(container, stream, decoding):
            seconds = frame.time
            if seconds is None:
                seconds = times[-1] + step if times else 0.0
            elif times and seconds <= times[-1]:
                decoding.errors += 1
                continue
            times.append(float(seconds))
            index = len(times) - 1
            decoding.decoded = len(times)
            if not is_selected(times[-1] - times[0]):
                continue
            image = _displayed(frame, stream.sample_aspect_ratio)
            if size is None:
                size = image.shape
                decoding.size, decoding.rotation = (size[1], size[0]), _rotation(frame)
            elif image.shape != size:
                raise VideoError(f"{path} changes its frame size at frame {index}; split the video there")
            yield VideoFrame(index, times[-1] - times[0], image)
        if not times:
            raise VideoError(f"{path} has no frame that can be decoded; replace it, or leave it out")
        if not _has_sample_table(container):
            spacing = float(np.median(np.diff(times))) if len(times) > 1 else step
            decoding.promised = round((container.duration or 0) / av.time_base / spacing)


def count_frames(path: str | pathlib.Path, start: float = 0.0, end: float = math.inf) -> int:
    """Returns about how many frames a video has, by its header; 0 if that says nothing. Nothing is decoded.

    Args:
      path: of the video.
      start, end: seconds since the first frame; frames before and after them are not counted.

    Raises:
      VideoError: see `read_frames`.
    """
    with _open(pathlib.Path(path)) as container:
        stream = _video_stream(container)
        rate = _frame_rate(stream)
        total = stream.frames if _has_sample_table(container) else (container.duration or 0) / av.time_base * rate
        return round(max(min(total, end * rate) - start * rate, 0))


def write_frames(frames: Iterable[tuple[float, np.ndarray]], path: pathlib.Path) -> None:
    """Writes pairs of a time in seconds and an image uint8 [H, W, 3] RGB as H.264 in MP4, atomically.

    H.264 with 4:2:0 chroma requires even sides, so an odd side loses its last row or column.

    Raises:
      VideoError: the frames cannot be encoded.
      OSError: the file cannot be written.
    """
    with io.atomic_path(path) as temporary:
        try:
            _encode(frames, temporary)
        except av.FFmpegError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise OSError(error.errno, error.strerror, str(path)) from error
            raise VideoError(f"{path} cannot be encoded ({_reason(error)})") from error


def _encode(frames: Iterable[tuple[float, np.ndarray]], path: pathlib.Path) -> None:
    with av.open(_local(path), "w", format="mp4") as container:
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
        # Titles and names of streams may be in any encoding; nothing here reads them.
        container = av.open(_local(path), options=_OPTIONS, metadata_errors="replace")
    except av.FFmpegError as error:
        raise VideoError(f"{path} cannot be read as a video ({_reason(error)}); copy or convert it again") from error
    except OSError as error:
        raise VideoError(f"{path} cannot be read ({error.strerror}); check the path") from error
    if not container.streams.video:
        container.close()
        raise VideoError(f"{path} has no video stream; give a video")
    if _video_stream(container).codec_context is None:
        container.close()
        raise VideoError(f"{path} uses a codec that cannot be decoded; convert it to H.264")
    return container


def _video_stream(container: "av.container.InputContainer") -> "av.VideoStream":
    """Returns the video of a file, which a picture of its cover may precede."""
    best = container.streams.best("video")
    return container.streams.video[0] if best is None else best  # type: ignore[return-value]


@contextlib.contextmanager
def _threaded(stream: "av.VideoStream") -> Iterator["av.VideoStream"]:
    """Decodes a stream in several threads, which are idle when this context ends.

    If a video is not read to its end, they may still be at work. Closing it would then hold Python's lock while it
    waits for them, and they may wait for this lock, to log. Flushing waits for them without the lock.
    """
    stream.thread_type = "AUTO"
    try:
        yield stream
    finally:
        stream.codec_context.flush_buffers()


def _has_sample_table(container: "av.container.InputContainer") -> bool:
    """Returns whether the header of a file lists its frames one by one, as in MP4."""
    return "mp4" in container.format.name and _video_stream(container).frames > 0


def _frame_rate(stream: "av.VideoStream") -> float:
    """Returns the frames per second by the header, or 25 if that is none of a camera."""
    rate = float(stream.average_rate or 0)
    return rate if 0.1 <= rate <= 1000 else 25.0


def _decode(
    container: "av.container.InputContainer", stream: "av.VideoStream", decoding: Decoding
) -> Iterator[av.VideoFrame]:
    """Yields the frames that can be decoded, and counts errors and, with a sample table, the promised frames."""
    left_out = 0
    if _has_sample_table(container):
        decoding.promised = stream.frames
    reported, _ = av.logging.get_last_error()
    try:
        for packet in container.demux(stream):
            if packet.is_discard:  # before or after the part that is played
                left_out += 1
            try:
                yield from packet.decode()  # type: ignore[misc]
            except av.FFmpegError:
                decoding.errors += 1
    except av.FFmpegError:  # The container cannot be read further.
        decoding.errors += 1
    finally:  # also if the video is not read to its end
        decoding.errors += av.logging.get_last_error()[0] - reported
    decoding.promised = max(0, decoding.promised - left_out)


def _displayed(frame: av.VideoFrame, pixel_aspect: Fraction | None) -> np.ndarray:
    """Returns a frame as RGB with square pixels, rotated and mirrored by its display matrix."""
    aspect = pixel_aspect if pixel_aspect and 0.25 < pixel_aspect < 4 else 1  # Ratios outside this range are invalid.
    width = round(frame.width * aspect)
    image = frame.to_ndarray(format="rgb24", width=width, height=frame.height)
    matrix = _display_matrix(frame)
    if matrix is None:
        return image
    a, b, c, d = matrix
    if abs(b) > abs(a):
        image, a, d = image.swapaxes(0, 1), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _display_matrix(frame: av.VideoFrame) -> np.ndarray | None:
    """Returns a, b, c, d of the matrix (x, y) → (a x + c y, b x + d y), y downward, that displays a stored frame."""
    matrix = frame.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]  # PyAV's stubs lack this key
    # The file stores a, b, u, c, d, v, …
    return None if matrix is None else np.frombuffer(bytes(matrix)[:20], np.int32)[[0, 1, 3, 4]]


def _rotation(frame: av.VideoFrame) -> int:
    """Returns the degrees by which a stored frame is turned clockwise to be displayed: 0, 90, 180 or 270."""
    matrix = _display_matrix(frame)
    if matrix is None:
        return 0
    a, b, *_ = matrix.astype(float)
    return round(np.degrees(np.arctan2(b, a)) / 90) % 4 * 90


def _local(path: pathlib.Path) -> str:
    """Returns an absolute path, which FFmpeg cannot take for an address such as 10:30.mp4 of the protocol 10."""
    return str(path.absolute())


def _reason(error: av.FFmpegError) -> str:
    return (error.strerror or str(error)).rstrip(" .").lower()
