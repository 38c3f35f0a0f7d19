"""Unlabelled frames: each video is cut into segments, and each visit to a segment draws one of its frames.

Neighbouring frames are near copies of each other, so an epoch takes one of every `stride`. Which one is a function of
the generator that is given, so nothing needs to be remembered to go on from any place.
"""

import abc
import hashlib
import os
import pathlib
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from aggpose_jax.data import shards
from aggpose_jax.data.images import SUFFIXES, ImageError, read_image
from aggpose_jax.data.synthetic import SyntheticMovement
from aggpose_jax.errors import UserError

PARTS = ("train", "eval")
REMEMBERED = 5000  # drawn frames, of 230 kB each
_STATS = 32  # files looked at together: a mounted bucket answers slowly, but many at once


class Frames(abc.ABC):
    """A source of segments. A record has no picture: `draw` picks a frame of it and reads that.

    A record holds video_id (number of the video from 1), segment (number in the video from 0) and id; `id` numbers all
    frames of all videos, those left out too, so that it stays the same whatever is left out. That of a record is its
    segment's first frame.

    Args:
      videos: names.
      lengths: number of frames of each video.
      stride: frames in a segment; a video's last one may have fewer.
      chosen: numbers of the videos from 0 that count; None is all.
    """

    def __init__(
        self, videos: Sequence[str], lengths: Sequence[int], stride: int, chosen: Collection[int] | None = None
    ):
        self._videos, self._stride = list(videos), stride
        self._lengths = np.array(lengths, np.int64)
        self._starts = np.cumsum(self._lengths) - self._lengths
        self._chosen = np.arange(len(self._videos)) if chosen is None else np.array(sorted(chosen), np.int64)
        self._chosen = self._chosen[self._lengths[self._chosen] > 0]
        self._ends = np.cumsum(-(-self._lengths[self._chosen] // stride))

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: int) -> dict:
        if not 0 <= index < len(self):
            raise IndexError(f"segment {index} of {len(self)}")
        row = int(np.searchsorted(self._ends, index, side="right"))
        video, segment = int(self._chosen[row]), int(index - (self._ends[row - 1] if row else 0))
        return {"video_id": video + 1, "segment": segment, "id": int(self._starts[video]) + segment * self._stride}

    def draw(self, record: dict, rng: np.random.Generator) -> dict:
        """The record with a frame of its segment, each as likely: image (bytes, path or array), frame and id.

        Raises:
          ImageError: naming the shard, if it cannot be read.
        """
        video, first = record["video_id"] - 1, record["segment"] * self._stride
        position = first + int(rng.integers(min(self._stride, self._lengths[video] - first)))
        frame, image = self._read(video, position)
        return {**record, "image": image, "frame": frame, "id": int(self._starts[video]) + position}

    def counts(self) -> dict[str, int]:
        """Numbers of videos, of segments and of frames."""
        return {"videos": len(self._chosen), "segments": len(self), "frames": int(self._lengths[self._chosen].sum())}

    def file_name(self, number: int) -> str:
        """Where the frame of this id lies."""
        return self._place(*self._find(number))

    def fault(self, number: int) -> str:
        """What keeps the frame of this id, or another of its segment, from being read."""
        video, position = self._find(number)
        first = position - position % self._stride
        for near in range(first, min(first + self._stride, int(self._lengths[video]))):
            try:
                read_image(self._read(video, near)[1])
            except ImageError as error:
                return f"{self._place(video, near)}: {error}"
        return f"{self.file_name(number)} could be read at the second attempt"

    def _find(self, number: int) -> tuple[int, int]:
        """Number of the video from 0 and place in it of the frame of an id."""
        video = int(np.searchsorted(self._starts + self._lengths, number, side="right"))
        return video, number - int(self._starts[video])

    @abc.abstractmethod
    def _read(self, video: int, position: int) -> tuple[int, bytes | str | np.ndarray]:
        """The frame at a place of a video: its number in the video as filmed, and the picture."""

    @abc.abstractmethod
    def _place(self, video: int, position: int) -> str:
        """Where the frame at a place of a video lies, for people."""


class ShardFrames(Frames):
    """Frames that `prepare frames` wrote; see `Frames`. A shard is opened when a frame of it is drawn.

    Args:
      directory: of the manifest.
      shard_list: what the manifest says.
      stride, chosen: as of `Frames`.

    Raises:
      UserError: a shard is missing or not of the size in the manifest.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        shard_list: Sequence[shards.Shard],
        stride: int,
        chosen: Collection[int] | None = None,
    ):
        super().__init__([s.video for s in shard_list], [s.frames for s in shard_list], stride, chosen)
        self._directory, self._files = directory, [s.file for s in shard_list]
        needed = [shard_list[video] for video in self._chosen]
        with ThreadPoolExecutor(_STATS) as pool:
            list(pool.map(self._check, needed))

    def _check(self, shard: shards.Shard) -> None:
        path = self._directory / shard.file
        try:
            size = path.stat().st_size
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}); copy it again") from error
        if size != shard.bytes:
            raise UserError(f"{path} has {size} bytes instead of {shard.bytes}; copy it again")

    def _read(self, video: int, position: int) -> tuple[int, bytes]:
        path = os.path.join(self._directory, self._files[video])
        try:
            found = shards.read_record(path, position, int(self._lengths[video]))
        except shards.ShardError as error:
            raise ImageError(str(error)) from error
        return found.frame, found.image

    def _place(self, video: int, position: int) -> str:
        return f"{self._files[video]} record {position}"


class FolderFrames(Frames):
    """Images in folders; see `Frames`. Each folder is a video, its images in the order of their names are the frames.

    Args:
      directory: the folders are below it; images in itself are a video too.
      images: names of the images of each video, by the video's name (the path below directory).
      stride, chosen: as of `Frames`.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        images: dict[str, list[str]],
        stride: int,
        chosen: Collection[int] | None = None,
    ):
        super().__init__(list(images), [len(names) for names in images.values()], stride, chosen)
        self._directory, self._images = directory, list(images.values())

    def _read(self, video: int, position: int) -> tuple[int, str]:
        return position, os.path.join(self._directory, self._place(video, position))

    def _place(self, video: int, position: int) -> str:
        return os.path.normpath(os.path.join(self._videos[video], self._images[video][position]))


class SyntheticFrames(Frames):
    """Frames of moving infants that are drawn when they are asked for, the first REMEMBERED of them once; see `Frames`.

    Args:
      videos, frames, split, seed: as of `synthetic.SyntheticMovement`.
      stride: as of `Frames`.
    """

    def __init__(self, videos: int, frames: int, *, split: str = "train", stride: int = 1, seed: int = 0):
        super().__init__([f"{split}_{video + 1:06}" for video in range(videos)], [frames] * videos, stride)
        self._movement = SyntheticMovement(videos, frames, split=split, seed=seed)
        self._drawn: dict[int, np.ndarray] = {}

    def _read(self, video: int, position: int) -> tuple[int, np.ndarray]:
        number = int(self._starts[video]) + position
        image = self._drawn.get(number)
        if image is None:
            image = self._movement[number]["image"]
            if len(self._drawn) < REMEMBERED:
                self._drawn[number] = image
        return position, image

    def _place(self, video: int, position: int) -> str:
        return f"{self._videos[video]} frame {position}"


def open_source(
    data_dir: str | pathlib.Path,
    *,
    stride: int,
    excluded: str | pathlib.Path = "",
    held_out: float = 0.0,
    part: str = "train",
) -> Frames:
    """The frames below a folder, from shards of `prepare frames` or from folders of images.

    Args:
      data_dir: holds a manifest, or JPEG and PNG files in folders.
      stride: frames in a segment.
      excluded: file with the name of a video in each line; these are in no part. Empty for none.
      held_out: share of the other videos that is for evaluation: at least one video, unless it is 0.
      part: "train" or "eval".

    Raises:
      UserError: there is no frame, a shard is missing, or a name in `excluded` is that of no video.
    """
    directory, skipped = pathlib.Path(data_dir), {}
    if (directory / shards.MANIFEST).exists() or (directory / shards.FOLDER).is_dir():
        content, skipped = shards.read_manifest(directory)
        make, names = ShardFrames, [shard.video for shard in content]
    else:
        content = _find_images(directory)
        make, names = FolderFrames, list(content)
    left = _without(names, skipped, pathlib.Path(excluded)) if excluded else range(len(names))
    source = make(directory, content, stride, _part(names, left, held_out, part))
    if not len(source):
        whose = f"for part {part} " if held_out or excluded else ""
        raise UserError(
            f"{directory} holds no frame {whose}: give a folder of images, or make shards of videos: "
            f"python -m aggpose_jax.prepare frames VIDEOS --out {directory}"
        )
    return source


def _find_images(directory: pathlib.Path) -> dict[str, list[str]]:
    found = {}
    for folder, folders, files in os.walk(directory, followlinks=True):
        folders.sort()
        images = sorted(name for name in files if name.lower().endswith(SUFFIXES))
        if images:
            found[os.path.relpath(folder, directory)] = images
    return found


def _without(names: Sequence[str], skipped: Collection[str], file: pathlib.Path) -> list[int]:
    """Numbers of the videos that a file does not name."""
    try:
        lines = {line.strip() for line in file.read_text().splitlines()} - {""}
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{file} cannot be read ({error}); give a file with the name of a video in each line"
        ) from error
    unknown = sorted(lines - set(names) - set(skipped))
    if unknown and names:
        # A misspelt name would let a test video into training.
        raise UserError(
            f"{file}: {len(unknown)} names are of no video of the data, as {unknown[0]}; write them like {names[0]}"
        )
    return [number for number, name in enumerate(names) if name not in lines]


def _part(names: Sequence[str], left: Sequence[int], held_out: float, part: str) -> list[int]:
    """Numbers of the videos of a part. Held out are those whose names have the least hashes: chance, but no other."""
    if part not in PARTS:
        raise ValueError(part)
    order = sorted(left, key=lambda number: hashlib.sha256(names[number].encode()).digest())
    count = max(1, round(held_out * len(order))) if held_out else 0
    return order[:count] if part == "eval" else order[count:]
