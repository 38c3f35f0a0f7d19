"""A source of frames of synthetic infants for pretraining; see `frames`."""

import numpy as np

from aggpose_jax.data.frames import Frames
from aggpose_jax.data.synthetic import SyntheticMovement

MAX_CACHED = 5000  # largest number of rendered synthetic frames that are kept in memory, 230 kB each


class SyntheticFrames(Frames):
    """A source of synthetic videos of moving infants; see `Frames`.

    Frames are rendered when they are drawn, and the first MAX_CACHED of them are kept in memory.

    Args:
      videos, frames, split, seed: see `synthetic.SyntheticMovement`.
      stride: see `Frames`.
    """

    def __init__(self, videos: int, frames: int, *, split: str = "train", stride: int = 1, seed: int = 0):
        super().__init__([f"{split}_{video + 1:06}" for video in range(videos)], [frames] * videos, stride)
        self._movement = SyntheticMovement(videos, frames, split=split, seed=seed)
        self._cache: dict[int, np.ndarray] = {}

    def _read(self, video: int, position: int) -> tuple[int, np.ndarray]:
        frame_id = int(self._starts[video]) + position
        image = self._cache.get(frame_id)
        if image is None:
            image = self._movement[frame_id]["image"]
            if len(self._cache) < MAX_CACHED:
                self._cache[frame_id] = image
        return position, image

    def boxes(self, video_id: int) -> np.ndarray:
        """Returns the true boxes of a video, [n, 5] frame, x, y, width and height in pixels, without rendering it."""
        annotations = self._movement.ground_truth(video_id - 1)["annotations"]
        return np.array([(one["image_id"], *one["bbox"]) for one in annotations], np.float64).reshape(-1, 5)

    def _location(self, video: int, position: int) -> str:
        return f"{self._videos[video]} frame {position}"
