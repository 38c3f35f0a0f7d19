"""Reads and writes shards, which are ArrayRecord files of the frames of one video, and the manifest of a shard folder.

A record consists of the frame's number in its video, its time in seconds, the name of the video and a JPEG file.
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
# Number of shards that a process keeps open. Each uses 83 bytes of memory per record, and opening one takes 0.4 ms on a
# local disk.
MAX_OPEN = 8
_HEADER = struct.Struct("<qdH")  # start of a record: frame number, time in seconds, bytes of the video's name
_READER = "readahead_buffer_size:0,max_parallelism:0"
_WRITER = "group_size:1,uncompressed"  # Compression does not make JPEG files smaller.


class StoredFrame(NamedTuple):
    """The content of a record: name of the video, frame number from 0, seconds since the first frame, JPEG file."""

    video: str
    frame: int
    seconds: float
    image: bytes


class Shard(NamedTuple):
    """The entry of a shard in the manifest: video, path relative to the folder, number of frames, size and hash."""

    video: str
    file: str
    frames: int
    bytes: int
    sha256: str


class ShardError(UserError):
    """Raised for a shard that is missing, incomplete or damaged. The message names the file."""


def pack(frame: StoredFrame) -> bytes:
    """Returns a frame as the bytes of a record of a shard."""
    name = frame.video.encode()
    return _HEADER.pack(frame.frame, frame.seconds, len(name)) + name + frame.image


def unpack(record: bytes) -> StoredFrame:
    """Returns the frame that the bytes of a record of a shard contain: the inverse of `pack`."""
    number, seconds, length = _HEADER.unpack_from(record)
    end = _HEADER.size + length
    return StoredFrame(record[_HEADER.size : end].decode(), number, seconds, record[end:])


def write_records(frames: Iterable[StoredFrame], path: pathlib.Path) -> int:
    """Writes a shard and returns its number of frames; see `write_packed`."""
    return write_packed(map(pack, frames), path)


def write_packed(records: Iterable[bytes], path: pathlib.Path) -> int:
    """Writes records to a file and returns their number. The same records always give the same bytes.

    Raises:
      OSError: the file cannot be written, for example because the disk is full.
    """
    writer = ArrayRecordWriter(str(path), _WRITER)
    count = 0
    for record in records:
        writer.write(record)
        count += 1
    try:
        writer.close()  # also raises the errors of earlier writes to the shard
    except RuntimeError as error:
        raise OSError(errno.EIO, str(error).split(";")[0], str(path)) from error
    return count


def read_record(path: str, position: int, count: int) -> StoredFrame:
    """Returns the frame at a position of a shard with `count` frames. A process keeps up to MAX_OPEN shards open.

    Raises:
      ShardError: the shard is missing, cut short or damaged at this position. The message names the shard.
    """
    try:
        reader = _reader(path)
        if reader.num_records() != count:  # A missing file, or one of another format, opens without error as empty.
            _reader.cache_clear()
            pathlib.Path(path).stat()
            raise ShardError(f"{path} has {reader.num_records()} frames, but should have {count}; copy it again")
        return unpack(reader.read([position])[0])
    except OSError as error:
        raise ShardError(f"{path} cannot be read ({error.strerror}); copy it again") from error
    except (RuntimeError, ValueError, IndexError, struct.error) as error:
        raise ShardError(f"{path} is damaged at record {position}; copy it again") from error


# A reader that is evicted from the cache is closed when the last thread that reads from it releases it.
@functools.lru_cache(maxsize=MAX_OPEN)
def _reader(path: str) -> ArrayRecordReader:
    return open_packed(path)


def open_packed(path: str) -> ArrayRecordReader:
    """Opens a file of `write_packed` for reading single records. A file that does not exist opens as empty."""
    return ArrayRecordReader(path, options=_READER, file_reader_buffer_size=1 << 15)


class Manifest(NamedTuple):
    """The shards of a folder, and what is wrong with videos.

    Attributes:
      shards: sorted by the names of their videos.
      skipped: the reasons why videos have no shard, by name.
      damaged: what is wrong with videos whose shards lack frames, by name.
    """

    shards: list[Shard]
    skipped: dict[str, str]
    damaged: dict[str, str]


def read_manifest(directory: pathlib.Path) -> Manifest:
    """Reads the manifest of a folder of shards.

    Raises:
      UserError: the manifest is missing or invalid.
    """
    path = directory / MANIFEST
    try:
        content = json.loads(path.read_bytes())
        entries = [Shard(**{field: shard[field] for field in Shard._fields}) for shard in content["shards"]]
        damaged = {shard["video"]: shard["damaged"] for shard in content["shards"] if "damaged" in shard}
        return Manifest(entries, dict(content["skipped"]), damaged)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); run python -m aggpose_jax.prepare frames until it finishes"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a manifest of frames ({error!r}); copy it again") from error
