"""Frames of a source that are chosen for pretraining: those with a box of the subject, and with a later frame."""

from collections.abc import Mapping

import numpy as np

from aggpose_jax.data.frames import Frames
from aggpose_jax.data.images import ImageError, read_image
from aggpose_jax.errors import UserError

PROBES = 3  # pairs of frames by which a film of one repeated frame is recognised
SAME = 0.5  # mean difference in levels below which two frames are the same, but for the noise of their compression


class ChosenFrames:
    """A source of the frames that have a box and, with an offset, a frame that many frames later in their video.

    It has the segments of another source that contain such a frame, and `draw` chooses one of them.

    Args:
      source: the source of all frames.
      boxes: the boxes of videos by video_id, each [n, 5]: position of the frame in its video, rising; x, y, width and
        height in pixels of the frame. Frames without a box are not drawn. None draws frames with and without.
      offset: number of frames from a frame to its target; 0 for no target.
      leave_out_repeated: leave out videos of one repeated frame, whose targets teach nothing: PROBES frames of each
        are read and compared with their targets.

    Raises:
      UserError: no frame is left.
    """

    def __init__(
        self,
        source: Frames,
        boxes: Mapping[int, np.ndarray] | None = None,
        offset: int = 0,
        leave_out_repeated: bool = False,
    ):
        self._source, self._boxes, self._offset = source, boxes, offset
        videos = source.videos()
        self._positions = {video_id: self._choose(video_id, video.frames) for video_id, video in videos.items()}
        self._repeated = [video_id for video_id in videos if leave_out_repeated and self._repeats_one_frame(video_id)]
        self._positions |= dict.fromkeys(self._repeated, np.zeros(0, np.int64))
        indices = [
            np.unique(self._positions[video_id] // source.stride) + video.segments.start
            for video_id, video in videos.items()
        ]
        self._indices = np.concatenate([np.zeros(0, np.int64), *indices])
        if not len(self._indices):
            if self._repeated:
                example = videos[self._repeated[0]].name
                raise UserError(
                    f"target_offset: every video of more than {offset} frames, such as {example}, repeats one frame: "
                    "later frames teach nothing; set --config.target_offset=0"
                )
            raise UserError(
                f"target_offset: no video has a frame {offset} frames after one that could be drawn; give a smaller "
                "number, or longer videos"
                if offset
                else "boxes: no frame has a box; give boxes of these videos"
            )

    def _choose(self, video_id: int, frames: int) -> np.ndarray:
        """Returns the positions, rising, of the frames of a video that may be drawn."""
        if self._boxes is None:
            return np.arange(max(frames - self._offset, 0))
        positions = self._boxes.get(video_id, np.zeros((0, 5)))[:, 0].astype(np.int64)
        return positions[positions < frames - self._offset]

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> dict:
        if not 0 <= index < len(self):
            raise IndexError(f"segment index {index} is out of range for a source of {len(self)} segments")
        return self._source[int(self._indices[index])]

    def draw(self, record: dict, rng: np.random.Generator) -> dict:
        """Returns the record with one of the chosen frames of its segment, drawn uniformly; see `Frames.read`.

        It has its `box` [4] if there are boxes, and `target`, the image of the later frame, if there is an offset.
        """
        positions, first = self._positions[record["video_id"]], record["segment"] * self._source.stride
        low, high = np.searchsorted(positions, (first, first + self._source.stride))
        position = int(positions[low + rng.integers(high - low)])
        frame = self._source.read(record, position)
        if self._boxes is not None:
            rows = self._boxes[record["video_id"]]
            frame["box"] = rows[np.searchsorted(rows[:, 0], position), 1:]
        if self._offset:
            frame["target"] = self._source.read(record, position + self._offset)["image"]
        return frame

    def counts(self) -> dict[str, int]:
        """Returns the numbers of videos, of segments and of frames that are used, and of videos that are left out."""
        lengths = [len(positions) for positions in self._positions.values()]
        reason = "without a box" if self._boxes is not None else f"not longer than {self._offset} frames"
        if self._boxes is not None and self._offset:
            reason = f"without a box {self._offset} frames before their end"
        counts = {
            "videos": len(lengths) - lengths.count(0),
            "segments": len(self),
            "frames": sum(lengths),
            f"videos left out, {reason}": lengths.count(0) - len(self._repeated),
        }
        return counts | ({"videos left out, of one repeated frame": len(self._repeated)} if self._repeated else {})

    def file_name(self, frame_id: int) -> str:
        """Returns the file of the frame with this id and its position there, as text."""
        return self._source.file_name(frame_id)

    def fault(self, frame_id: int) -> str:
        """Returns the reason why the frame with this id, or another frame of its segment, cannot be read."""
        return self._source.fault(frame_id)

    def _repeats_one_frame(self, video_id: int) -> bool:
        """Returns whether PROBES frames of a video, evenly spaced, equal their targets."""
        positions = self._positions[video_id]
        if not len(positions):
            return False
        probes = positions[np.unique(np.linspace(0, len(positions) - 1, PROBES).astype(int))]
        return all(self._is_repeated(video_id, int(position)) for position in probes)

    def _is_repeated(self, video_id: int, position: int) -> bool:
        """Returns whether the frame at a position and its target are the same image; False if one cannot be read."""
        record = {"video_id": video_id}
        try:
            first, second = (
                read_image(self._source.read(record, place)["image"]).astype(np.int16)
                for place in (position, position + self._offset)
            )
        except ImageError:
            return False
        return first.shape == second.shape and float(np.abs(first - second).mean()) < SAME
