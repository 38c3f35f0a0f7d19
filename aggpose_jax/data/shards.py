"""A shard: the frames of one video in an ArrayRecord file; and the manifest of a folder of shards.

A record is the frame's number in its video, its time in seconds, the video's name and a JPEG file.
"""

import errno
import functools
import json
import pathlib
import struct
from collections.abc import Iterable
from typing import NamedTuple

from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

from aggpose_jax.errors import UserError

MANIFEST = "manifest.json"
FOLDER = "shards"
SUFFIX = ".array_record"
OPEN = 8  # shards kept open: each holds 83 bytes for each of its records, and opening one takes 0.4 ms on a disk
_HEAD = struct.Struct("<qdH")  # frame, seconds, bytes of the name
_READER = "readahead_buffer_size:0,max_parallelism:0"
_WRITER = "group_size:1,uncompressed"  # JPEG does not shrink


class StoredFrame(NamedTuple):
    """What a record holds: name of the video, number in it from 0, seconds since its first frame, JPEG."""

    video: str
    frame: int
    seconds: float
    image: bytes


class Shard(NamedTuple):
    """What the manifest says of a shard: the video, its file below the folder, number of frames, size and hash."""

    video: str
    file: str
    frames: int
    bytes: int
    sha256: str


class ShardError(UserError):
    """A shard that cannot be read."""


def pack(frame: StoredFrame) -> bytes:
    """The record of a frame."""
    name = frame.video.encode()
    return _HEAD.pack(frame.frame, frame.seconds, len(name)) + name + frame.image


def unpack(record: bytes) -> StoredFrame:
    """The frame of a record."""
    number, seconds, length = _HEAD.unpack_from(record)
    end = _HEAD.size + length
    return StoredFrame(record[_HEAD.size : end].decode(), number, seconds, record[end:])


def write_records(frames: Iterable[StoredFrame], path: pathlib.Path) -> int:
    """Writes a shard, the same bytes for the same frames. Returns their number.

    Raises:
      OSError: it cannot be written, as when the disk is full.
    """
    writer = ArrayRecordWriter(str(path), _WRITER)
    count = 0
    for frame in frames:
        writer.write(pack(frame))
        count += 1
    try:
        writer.close()  # says too what went wrong before it
    except RuntimeError as error:
        raise OSError(errno.EIO, str(error).split(";")[0], str(path)) from error
    return count


def read_record(path: str, position: int, count: int) -> StoredFrame:
    """Reads the frame at a position of a shard that has `count` of them. Few shards stay open in a process.

    Raises:
      ShardError: naming the shard, if it is missing, cut short or damaged there.
    """
    try:
        reader = _reader(path)
        if reader.num_records() != count:  # what is missing or no ArrayRecord opens, and has none
            _reader.cache_clear()
            pathlib.Path(path).stat()
            raise ShardError(f"{path} has {reader.num_records()} frames instead of {count}; copy it again")
        return unpack(reader.read([position])[0])
    except OSError as error:
        raise ShardError(f"{path} cannot be read ({error.strerror}); copy it again") from error
    except (RuntimeError, ValueError, IndexError, struct.error) as error:
        raise ShardError(f"{path} is damaged at record {position}; copy it again") from error


# A reader that leaves is closed when the last thread that reads from it lets it go.
@functools.lru_cache(maxsize=OPEN)
def _reader(path: str) -> ArrayRecordReader:
    return ArrayRecordReader(path, options=_READER, file_reader_buffer_size=1 << 15)


class Manifest(NamedTuple):
    """Shards in the order of their videos' names, and names of the videos that could not be read, with the reasons."""

    shards: list[Shard]
    skipped: dict[str, str]


def read_manifest(directory: pathlib.Path) -> Manifest:
    """The manifest of a folder of shards.

    Raises:
      UserError: there is none, or it is none.
    """
    path = directory / MANIFEST
    try:
        content = json.loads(path.read_bytes())
        found = [Shard(**{field: shard[field] for field in Shard._fields}) for shard in content["shards"]]
        return Manifest(found, dict(content["skipped"]))
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); run python -m aggpose_jax.prepare frames to its end"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no manifest of frames ({error!r}); copy it again") from error
