"""Videos become shards of JPEG frames, a shard a video: what is finished stays finished, whenever the rest is stopped.

DIR/shards/VIDEO.array_record appears when it is whole, and then VIDEO.json, which says so. When every video has
one, they are gathered in DIR/manifest.json.
"""

import concurrent.futures.process
import dataclasses
import hashlib
import json
import multiprocessing
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np
from tqdm import tqdm

from aggpose_jax import io
from aggpose_jax.data import boxes, shards, videos
from aggpose_jax.data.images import encode_jpeg
from aggpose_jax.errors import UserError
from aggpose_jax.runtime.worker_processes import exit_with_parent

SETTINGS = "settings.json"
_THUMBNAIL = (32, 32)  # on which frames are compared


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is taken of a video.

    Attributes:
      fps: frames a second at most; 0 takes all.
      longest_side: pixels; larger frames shrink to it, smaller ones stay.
      quality: of the JPEG, 1 to 100.
      distinct: grey levels by which a frame differs on average from the last one taken, else it is left out.
    """

    fps: float = 4.0
    longest_side: int = 320
    quality: int = 90
    distinct: float = 0.0


@dataclasses.dataclass(frozen=True)
class Job:
    """One video: its name and file, the folder, and the boxes that it is cut to and that are blurred."""

    video: str
    file: pathlib.Path
    out: pathlib.Path
    settings: Settings
    crop: boxes.Track | None
    mosaic: boxes.Track | None

    @property
    def shard(self) -> pathlib.Path:
        """The shard when it is whole."""
        return self.out / shards.FOLDER / f"{self.video}{shards.SUFFIX}"

    @property
    def note(self) -> pathlib.Path:
        """What says that it is."""
        return self.out / shards.FOLDER / f"{self.video}.json"


def find_videos(paths: Sequence[pathlib.Path]) -> dict[str, pathlib.Path]:
    """Files by name, in the order of the names: a file's stem, or the path below a folder that is given, no suffix.

    Raises:
      UserError: there is none, or two have one name.
    """
    found: dict[str, pathlib.Path] = {}
    for path in paths:
        below = sorted(f for f in path.rglob("*") if f.suffix.lower() in videos.SUFFIXES) if path.is_dir() else [path]
        for file in below:
            name = (file.relative_to(path) if path.is_dir() else pathlib.Path(file.name)).with_suffix("").as_posix()
            if found.setdefault(name, file) != file:
                raise UserError(f"{found[name]} and {file} would both be video {name}; rename one")
    if not found:
        raise UserError(f"{', '.join(map(str, paths))}: no video there ({', '.join(videos.SUFFIXES)}); check the paths")
    return dict(sorted(found.items()))


def extract(
    files: Mapping[str, pathlib.Path],
    out: pathlib.Path,
    settings: Settings,
    *,
    crop: pathlib.Path | None = None,
    mosaic: pathlib.Path | None = None,
    processes: int = 1,
    part: tuple[int, int] = (0, 1),
) -> shards.Manifest | None:
    """Writes the shards of a part of the videos that have none yet, and the manifest once no video lacks one.

    Args:
      files: all videos by name.
      out: DIR.
      settings: of all videos.
      crop, mosaic: files of boxes to cut to, and to blur.
      processes: that read videos.
      part: (i, n) takes each n-th video from the i-th on.

    Returns:
      The manifest, or None while videos of other parts are missing. Videos that cannot be read are skipped in it.

    Raises:
      UserError: the folder was begun with other settings, or boxes are missing.
    """
    tracks = [boxes.read_tracks(file, files) if file else {} for file in (crop, mosaic)]
    _begin(out, settings, crop, mosaic)
    mine = list(files)[part[0] :: part[1]]
    jobs = [Job(video, files[video], out, settings, *(found.get(video) for found in tracks)) for video in mine]
    waiting = [job for job in jobs if not _is_finished(job)]
    with tqdm(total=len(jobs), initial=len(jobs) - len(waiting), unit="video") as progress:
        for line in _run(waiting, processes):
            if line:
                progress.write(line)
            progress.update()
    return _gather(files, out)


def _begin(out: pathlib.Path, settings: Settings, crop: pathlib.Path | None, mosaic: pathlib.Path | None) -> None:
    hashes = {name: _sha256(file) if file else "" for name, file in (("crop", crop), ("mosaic", mosaic))}
    asked, path = dataclasses.asdict(settings) | hashes, out / SETTINGS
    if path.exists():
        begun = json.loads(path.read_bytes())
        other = [f"{key} {begun.get(key)!r}, not {asked[key]!r}" for key in asked if begun.get(key) != asked[key]]
        if other:
            raise UserError(f"{out} was begun with {', '.join(other)}; give the same, or another folder")
    else:
        io.write_json(path, asked)


def _run(jobs: Sequence[Job], processes: int) -> Iterator[str]:
    """Does jobs; yields a line for each, empty where all went well."""
    if processes == 1:
        yield from map(_extract, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, context, _start_worker) as pool:
        try:
            for done in concurrent.futures.as_completed([pool.submit(_extract, job) for job in jobs]):
                yield done.result()
        except concurrent.futures.process.BrokenProcessPool as error:
            raise UserError(
                "a process was ended from outside, perhaps for want of memory; start again with fewer --processes"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    cv2.setNumThreads(0)  # there are as many processes as cores
    exit_with_parent()


def _is_finished(job: Job) -> bool:
    """Whether the shard is there as its note says; a video that could not be read is tried again."""
    try:
        return json.loads(job.note.read_bytes()).get("bytes") == job.shard.stat().st_size
    except (OSError, ValueError):
        return False


def _extract(job: Job) -> str:
    """Writes the shard of a video and its note; returns why not, if the video cannot be read."""
    io.remove_leftovers(job.shard)
    try:
        with io.atomic_path(job.shard) as temporary:
            count = shards.write_records(_frames(job), temporary)
    except videos.VideoError as error:
        io.write_json(job.note, {"video": job.video, "skipped": str(error)})
        return f"skipped: {error}"
    size, digest = job.shard.stat().st_size, _sha256(job.shard)
    file = job.shard.relative_to(job.out).as_posix()
    io.write_json(job.note, shards.Shard(job.video, file, count, size, digest)._asdict())
    return ""


def _frames(job: Job) -> Iterator[shards.StoredFrame]:
    """The frames of a video that are taken, as JPEG."""
    settings, last = job.settings, None
    due = _Due(settings.fps)
    for frame in videos.read_frames(job.file, due):
        image = frame.image if job.mosaic is None else boxes.blur(frame.image, job.mosaic.at(frame.index))
        if job.crop is not None:
            image = boxes.cut(image, job.crop.at(frame.index))
            if image is None:
                raise videos.VideoError(f"{job.file}: the box at frame {frame.index} is out of the picture; move it")
        scale = settings.longest_side / max(image.shape[:2])
        if scale < 1:
            size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        if settings.distinct:
            grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), _THUMBNAIL, interpolation=cv2.INTER_AREA)
            if last is not None and np.abs(grey.astype(float) - last).mean() < settings.distinct:
                continue
            last = grey.astype(float)
        yield shards.StoredFrame(job.video, frame.index, frame.seconds, encode_jpeg(image, settings.quality))


class _Due:
    """Says of each time in turn whether a frame is taken then: the first in each 1/fps of a second, 0 fps takes all."""

    def __init__(self, fps: float):
        self._fps, self._last = fps, -1

    def __call__(self, seconds: float) -> bool:
        number = int(seconds * self._fps + 1e-3)  # a time stamp is rounded, perhaps down
        if self._fps and number <= self._last:
            return False
        self._last = number
        return True


def _gather(files: Mapping[str, pathlib.Path], out: pathlib.Path) -> shards.Manifest | None:
    """Writes the manifest from the notes of all videos, if none is missing."""
    notes = [json.loads(path.read_bytes()) for path in (out / shards.FOLDER).rglob("*.json")]
    notes.sort(key=lambda note: note["video"])
    if files.keys() - {note["video"] for note in notes}:
        return None
    found = [note for note in notes if "skipped" not in note]
    skipped = {note["video"]: note["skipped"] for note in notes if "skipped" in note}
    content = {
        "settings": json.loads((out / SETTINGS).read_bytes()),
        "videos": len(found),
        "frames": sum(note["frames"] for note in found),
        "bytes": sum(note["bytes"] for note in found),
        "skipped": skipped,
        "shards": found,
    }
    io.write_json(out / shards.MANIFEST, content)
    return shards.read_manifest(out)


def _sha256(path: pathlib.Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the path") from error
