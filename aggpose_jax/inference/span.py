"""The part of a video that is predicted, in seconds since its first frame."""

import contextlib
import dataclasses
import math
import pathlib
from collections.abc import Iterator

from aggpose_jax.data import videos
from aggpose_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Span:
    """The frames at start ≤ time < end, which keep their numbers and times.

    Attributes:
      start, end: seconds since the first frame of the video.
    """

    start: float = 0.0
    end: float = math.inf

    @property
    def settings(self) -> dict[str, float]:
        """Returns those of the two limits that are not the ends of the video, for the manifest of a job."""
        given = {"start": self.start, "end": self.end}
        return {key: seconds for key, seconds in given.items() if 0 < seconds < math.inf}

    def frames(self, path: pathlib.Path, decoding: videos.Decoding) -> Iterator[videos.VideoFrame]:
        """Yields the frames of the span; those before it are decoded, since that counts them, those after it are not.

        Args:
          path: of the video.
          decoding: is filled with what decoding has found up to the end of the span. If the video continues after it,
            the number of promised frames is that of the decoded ones.

        Raises:
          UserError: the video cannot be read, or ends before the span starts.
        """
        last = 0.0

        def is_selected(seconds: float) -> bool:
            nonlocal last
            last = seconds
            return seconds >= self.start

        yielded = False
        with contextlib.closing(videos.read_frames(path, is_selected, decoding)) as frames:
            for frame in frames:
                if frame.seconds >= self.end:
                    decoding.promised = decoding.decoded = frame.index
                    break
                yielded = True
                yield frame
        if not yielded:
            until = f" to {self.end:g} s" if self.end < math.inf else ""
            raise UserError(f"{path} has no frame from {self.start:g} s{until}, the last one that was read is at "
                            f"{last:.2f} s; give another --start")  # fmt: skip

    def count(self, path: pathlib.Path) -> int:
        """Returns about how many frames of a video are in the span, by its header; 0 if that says nothing.

        Raises:
          VideoError: see `videos.read_frames`.
        """
        return videos.count_frames(path, self.start, self.end)


WHOLE = Span()  # the whole video
