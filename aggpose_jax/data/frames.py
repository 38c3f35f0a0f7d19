"""Sources of unlabelled video frames. A video consists of segments; each visit to a segment draws one of its frames.

Neighbouring frames are nearly identical, so an epoch uses one of every `stride` frames. Which one depends only on the
random generator that is passed in, so training can resume at any batch without stored state.
"""

import abc
import functools
import hashlib
import os
import pathlib
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from aggpose_jax import io
from aggpose_jax.data import shards
from aggpose_jax.data.images import SUFFIXES, ImageError, read_image
from aggpose_jax.errors import UserError

PARTS = ("train", "eval")
_STAT_THREADS = 32  # Threads check sizes of shards: a mounted bucket answers many stat calls as fast as one.


class Video(NamedTuple):
    """A video of a source: its name, its number of frames, and the indices of its segments."""

    name: str
    frames: int
    segments: range


class Frames(abc.ABC):
    """A source of segments. A record has no image: `draw` chooses a frame of the segment and reads its image.

    A record has video_id (number of the video, from 1), segment (index in the video, from 0) and id. Ids number all
    frames of all videos consecutively, those of excluded videos too, so the id of a frame does not depend on which
    videos are excluded. The id of a record is that of the first frame of its segment.

    Args:
      videos: names of all videos.
      lengths: number of frames of each video.
      stride: frames per segment; the last segment of a video may have fewer.
      included: indices (from 0) of the videos that are used; None uses all.
    """

    def __init__(
        self, videos: Sequence[str], lengths: Sequence[int], stride: int, included: Collection[int] | None = None
    ):
        self._videos, self._stride = list(videos), stride
        self._lengths = np.array(lengths, np.int64)
        self._starts = np.cumsum(self._lengths) - self._lengths
        self._included = np.arange(len(self._videos)) if included is None else np.array(sorted(included), np.int64)
        self._included = self._included[self._lengths[self._included] > 0]
        self._ends = np.cumsum(-(-self._lengths[self._included] // stride))

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: int) -> dict:
        if not 0 <= index < len(self):
            raise IndexError(f"segment index {index} is out of range for a source of {len(self)} segments")
        row = int(np.searchsorted(self._ends, index, side="right"))
        video, segment = int(self._included[row]), int(index - (self._ends[row - 1] if row else 0))
        return {"video_id": video + 1, "segment": segment, "id": int(self._starts[video]) + segment * self._stride}

    def draw(self, record: dict, rng: np.random.Generator) -> dict:
        """Returns the record with a frame of its segment, drawn uniformly; see `read`."""
        video, first = record["video_id"] - 1, record["segment"] * self._stride
        return self.read(record, first + int(rng.integers(min(self._stride, self._lengths[video] - first))))

    def read(self, record: dict, position: int) -> dict:
        """Returns the record with the frame at a position of its video: image (bytes, path or array), frame and id.

        Raises:
          ImageError: the shard, which the message names, cannot be read.
        """
        video = record["video_id"] - 1
        frame, image = self._read(video, position)
        return {**record, "image": image, "frame": frame, "id": int(self._starts[video]) + position}

    @property
    def stride(self) -> int:
        """The number of frames in a segment."""
        return self._stride

    def videos(self) -> dict[int, Video]:
        """Returns the videos that are used, by their video_id."""
        counts = np.diff(self._ends, prepend=0)
        return {
            int(video) + 1: Video(self._videos[video], int(self._lengths[video]), range(end - count, end))
            for video, count, end in zip(self._included, counts.tolist(), self._ends.tolist(), strict=True)
        }

    def counts(self) -> dict[str, int]:
        """Returns the numbers of videos, of segments and of frames that are used."""
        return {
            "videos": len(self._included),
            "segments": len(self),
            "frames": int(self._lengths[self._included].sum()),
        }

    def file_name(self, frame_id: int) -> str:
        """Returns the file of the frame with this id and its position there, as text."""
        return self._location(*self._find(frame_id))

    def fault(self, frame_id: int) -> str:
        """Returns the reason why the frame with this id, or another frame of its segment, cannot be read."""
        video, position = self._find(frame_id)
        first = position - position % self._stride
        for candidate in range(first, min(first + self._stride, int(self._lengths[video]))):
            try:
                read_image(self._read(video, candidate)[1])
            except ImageError as error:
                return f"{self._location(video, candidate)}: {error}"
        return f"{self.file_name(frame_id)} could be read at the second attempt"

    def _find(self, frame_id: int) -> tuple[int, int]:
        """Returns the index (from 0) of the video of the frame with this id, and the frame's position in the video."""
        video = int(np.searchsorted(self._starts + self._lengths, frame_id, side="right"))
        return video, frame_id - int(self._starts[video])

    @abc.abstractmethod
    def _read(self, video: int, position: int) -> tuple[int, bytes | str | np.ndarray]:
        """Returns the frame at a position of a video: its frame number in the original video, and its image."""

    @abc.abstractmethod
    def _location(self, video: int, position: int) -> str:
        """Returns the file of the frame at a position of a video, and the place in the file, as text for messages."""


class ShardFrames(Frames):
    """A source of the frames that `prepare frames` wrote; see `Frames`. Shards are opened when a frame is drawn.

    Args:
      directory: folder of the manifest.
      shard_list: the shards listed in the manifest.
      stride, included: see `Frames`.

    Raises:
      UserError: a shard is missing or does not have the size in the manifest.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        shard_list: Sequence[shards.Shard],
        stride: int,
        included: Collection[int] | None = None,
    ):
        super().__init__([s.video for s in shard_list], [s.frames for s in shard_list], stride, included)
        self._directory, self._files = directory, [s.file for s in shard_list]
        needed = [shard_list[video] for video in self._included]
        with ThreadPoolExecutor(_STAT_THREADS) as pool:
            list(pool.map(self._check, needed))

    def _check(self, shard: shards.Shard) -> None:
        path = self._directory / shard.file
        try:
            size = path.stat().st_size
        except OSError as error:
            raise UserError(f"{path} cannot be read as a shard ({error.strerror}); copy this file again") from error
        if size != shard.bytes:
            raise UserError(f"{path} has {size} bytes, but the manifest lists {shard.bytes}; copy it again")

    def _read(self, video: int, position: int) -> tuple[int, bytes]:
        path = os.path.join(self._directory, self._files[video])
        try:
            stored = shards.read_record(path, position, int(self._lengths[video]))
        except shards.ShardError as error:
            raise ImageError(str(error)) from error
        return stored.frame, stored.image

    def _location(self, video: int, position: int) -> str:
        return f"{self._files[video]} record {position}"


class FolderFrames(Frames):
    """A source of images in folders; see `Frames`. Each folder is a video; its images, sorted by name, are the frames.

    Args:
      directory: folder that contains the folders; images directly in it are a video too.
      images: file names of the images of each video, by name of the video (its path relative to the directory).
      stride, included: see `Frames`.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        images: dict[str, list[str]],
        stride: int,
        included: Collection[int] | None = None,
    ):
        super().__init__(list(images), [len(names) for names in images.values()], stride, included)
        self._directory, self._images = directory, list(images.values())

    def _read(self, video: int, position: int) -> tuple[int, str]:
        return position, os.path.join(self._directory, self._location(video, position))

    def _location(self, video: int, position: int) -> str:
        return os.path.normpath(os.path.join(self._videos[video], self._images[video][position]))


def open_source(
    data_dir: str | pathlib.Path,
    *,
    stride: int,
    excluded: str | pathlib.Path = "",
    held_out: float = 0.0,
    part: str = "train",
) -> Frames:
    """Returns the source of the frames in a folder: shards of `prepare frames`, or folders of images.

    Args:
      data_dir: folder with a manifest, or with JPEG and PNG files in subfolders.
      stride: frames per segment.
      excluded: file with one name of a video per line; these videos are in neither part. Empty excludes none.
      held_out: fraction of the remaining videos that is held out for evaluation: at least one video, unless it is 0.
      part: "train" or "eval".

    Raises:
      UserError: there is no frame, a shard is missing, or a name in `excluded` is not the name of a video.
    """
    directory = pathlib.Path(data_dir)
    skipped: dict[str, str] = {}
    open_videos: Callable[[list[int]], Frames]
    if (directory / shards.MANIFEST).exists() or (directory / shards.FOLDER).is_dir():
        shard_list, skipped, _ = shards.read_manifest(directory)
        names = [shard.video for shard in shard_list]
        open_videos = functools.partial(ShardFrames, directory, shard_list, stride)
    else:
        images = _find_images(directory)
        names = list(images)
        open_videos = functools.partial(FolderFrames, directory, images, stride)
    remaining = _without_excluded(names, skipped, pathlib.Path(excluded)) if excluded else range(len(names))
    source = open_videos(_videos_of_part(names, remaining, held_out, part))
    if not len(source):
        which = f" for part {part}" if held_out or excluded else ""
        raise UserError(
            f"{directory} holds no frames{which}; give a folder of images, or make shards of videos: "
            f"python -m aggpose_jax.prepare frames VIDEOS --out {directory}"
        )
    return source


def _find_images(directory: pathlib.Path) -> dict[str, list[str]]:
    """Returns the names of the image files in each folder in natural order, by the folder's relative path."""
    images_of = {}
    for folder, subfolders, files in os.walk(directory, followlinks=True):
        subfolders.sort(key=io.natural_order)
        images = sorted((name for name in files if name.lower().endswith(SUFFIXES)), key=io.natural_order)
        if images:
            images_of[os.path.relpath(folder, directory)] = images
    return images_of


def _without_excluded(names: Sequence[str], skipped: Collection[str], file: pathlib.Path) -> list[int]:
    """Returns the indices of the videos whose names are not in a file of excluded names."""
    try:
        excluded = {line.strip() for line in file.read_text().splitlines()} - {""}
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{file} cannot be read ({error}); give a text file with one name of a video per line"
        ) from error
    unknown = sorted(excluded - set(names) - set(skipped))
    if unknown and names:
        # A misspelt name would let a test video into training.
        raise UserError(
            f"{file}: {len(unknown)} names are not names of videos in the data, for example {unknown[0]}; "
            f"write them like {names[0]}"
        )
    return [index for index, name in enumerate(names) if name not in excluded]


def _videos_of_part(names: Sequence[str], remaining: Sequence[int], held_out: float, part: str) -> list[int]:
    """Returns which of the remaining videos belong to the part "train" or "eval", as indices into `names`.

    The videos with the smallest hashes of their names are held out: a pseudo-random choice that is always the same.
    """
    if part not in PARTS:
        raise ValueError(part)
    order = sorted(remaining, key=lambda index: hashlib.sha256(names[index].encode()).digest())
    count = max(1, round(held_out * len(order))) if held_out else 0
    return order[:count] if part == "eval" else order[count:]
