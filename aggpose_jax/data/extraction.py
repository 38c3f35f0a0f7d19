"""Extracts frames from videos into shards of JPEG files, one shard per video; an interrupted extraction can be resumed.

For each video, DIR/shards/VIDEO.array_record is written atomically, and then DIR/shards/VIDEO.json, the metadata that
marks the shard as complete. When every video has metadata, DIR/manifest.json is written from them.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np
from tqdm import tqdm

from aggpose_jax import io
from aggpose_jax.data import boxes, folders, shards, videos
from aggpose_jax.data.images import encode_jpeg
from aggpose_jax.data.worker_jobs import run_in_processes
from aggpose_jax.errors import UserError

SETTINGS = "settings.json"
_THUMBNAIL = (32, 32)  # (width, height) to which frames are resized to compare them


@dataclasses.dataclass(frozen=True)
class Settings:
    """Which frames of a video are extracted, and how they are stored.

    Attributes:
      fps: maximum number of frames per second; 0 extracts all frames.
      longest_side: pixels; larger frames are resized to this, smaller ones are not enlarged.
      quality: of the JPEG files, 1 to 100.
      distinct: a frame is skipped if its 32×32 thumbnail differs from that of the last extracted frame by less than
        this number of grey levels, in mean absolute difference; 0 skips none.
    """

    fps: float = 4.0
    longest_side: int = 320
    quality: int = 90
    distinct: float = 0.0


@dataclasses.dataclass(frozen=True)
class Job:
    """The extraction of one video.

    Attributes:
      video: name of the video.
      file: path of the video.
      out: the output folder, DIR.
      settings: which frames are extracted and how they are stored.
      crop: boxes to which the frames are cropped; None keeps full frames.
      mosaic: boxes that are pixelated; None pixelates nothing.
    """

    video: str
    file: pathlib.Path
    out: pathlib.Path
    settings: Settings
    crop: boxes.Track | None
    mosaic: boxes.Track | None

    @property
    def shard(self) -> pathlib.Path:
        """Returns the path of the shard, the ArrayRecord file of the extracted frames, which is written atomically."""
        return self.out / shards.FOLDER / f"{self.video}{shards.SUFFIX}"

    @property
    def metadata(self) -> pathlib.Path:
        """Returns the path of the JSON file that marks the shard as complete, or states why the video was skipped."""
        return self.out / shards.FOLDER / f"{self.video}.json"


def find_videos(paths: Sequence[pathlib.Path]) -> dict[str, pathlib.Path]:
    """Returns the video files by name, sorted by name.

    The name of a file is its stem; for a file in a folder of `paths` it is the relative path without the suffix.
    Hidden files in a folder, and the results of `predict` in it, are left out.

    Raises:
      UserError: there is no video, or two videos have the same name.
    """
    files: dict[str, pathlib.Path] = {}
    for path in paths:
        candidates = folders.visible_files(path, [*folders.folders_of_results(path)]) if path.is_dir() else [path]
        for file in (file for file in candidates if file.suffix.lower() in videos.SUFFIXES or file == path):
            name = (file.relative_to(path) if path.is_dir() else pathlib.Path(file.name)).with_suffix("").as_posix()
            if files.setdefault(name, file) != file:
                raise UserError(f"{files[name]} and {file} would both be video {name}; rename one")
    if not files:
        raise UserError(f"{', '.join(map(str, paths))}: no video found ({', '.join(videos.SUFFIXES)}); check the paths")
    return dict(sorted(files.items()))


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
    """Writes the missing shards of a part of the videos, and the manifest once every video has been processed.

    Args:
      files: all videos by name.
      out: the output folder, DIR.
      settings: which frames are extracted and how they are stored, the same for all videos.
      crop: file of the boxes to which frames are cropped; None keeps full frames.
      mosaic: file of the boxes that are pixelated; None pixelates nothing.
      processes: number of processes that decode videos.
      part: (i, n) processes every n-th video, starting with the i-th (from 0).

    Returns:
      The manifest, or None while videos of other parts have not been processed. Videos that cannot be read are listed
      in it as skipped.

    Raises:
      UserError: the folder was started with other settings, or boxes are missing.
    """
    tracks = [boxes.read_tracks(file, files) if file else {} for file in (crop, mosaic)]
    _check_settings(out, settings, crop, mosaic)
    names = list(files)[part[0] :: part[1]]
    jobs = [Job(name, files[name], out, settings, *(track.get(name) for track in tracks)) for name in names]
    pending = [job for job in jobs if not _is_finished(job)]
    with tqdm(total=len(jobs), initial=len(jobs) - len(pending), unit="video") as progress:
        for message in run_in_processes(_extract, pending, processes):
            if message:
                progress.write(message)
            progress.update()
    return _write_manifest(files, out)


def _check_settings(
    out: pathlib.Path, settings: Settings, crop: pathlib.Path | None, mosaic: pathlib.Path | None
) -> None:
    """Writes the settings to a new output folder; raises a UserError if the folder was started with other settings."""
    hashes = {name: _sha256(file) if file else "" for name, file in (("crop", crop), ("mosaic", mosaic))}
    given, path = dataclasses.asdict(settings) | hashes, out / SETTINGS
    if path.exists():
        stored = json.loads(path.read_bytes())
        differences = [
            f"{key} {stored.get(key)!r} (given: {given[key]!r})" for key in given if stored.get(key) != given[key]
        ]
        if differences:
            raise UserError(
                f"{out} was started with {', '.join(differences)}; give the same settings, or another folder"
            )
    else:
        io.write_json(path, given)


def _is_finished(job: Job) -> bool:
    """Returns whether the video of a job is already extracted: its shard exists with the size in its metadata.

    A video that could not be read has no shard, so it is tried again, and so is a damaged one.
    """
    try:
        metadata = json.loads(job.metadata.read_bytes())
        return metadata.get("bytes") == job.shard.stat().st_size and "damaged" not in metadata
    except (OSError, ValueError):
        return False


def _extract(job: Job) -> str:
    """Writes the shard of a job's video and its metadata; returns "", or what is wrong with the video."""
    io.remove_leftovers(job.shard)
    decoding = videos.Decoding()
    try:
        with io.atomic_path(job.shard) as temporary:
            count = shards.write_records(_frames(job, decoding), temporary)
    except videos.VideoError as error:
        io.write_json(job.metadata, {"video": job.video, "skipped": str(error)})
        return f"skipped: {error}"
    size, digest = job.shard.stat().st_size, _sha256(job.shard)
    file = job.shard.relative_to(job.out).as_posix()
    fault = decoding.fault() and f"{job.file} {decoding.fault()}"
    metadata = shards.Shard(job.video, file, count, size, digest)._asdict()
    io.write_json(job.metadata, metadata | ({"damaged": fault} if fault else {}))
    return fault


def _frames(job: Job, decoding: videos.Decoding) -> Iterator[shards.StoredFrame]:
    """Yields the frames that are extracted from a video, pixelated, cropped, resized and encoded as JPEG."""
    settings, last = job.settings, None
    is_due = _FrameRateLimit(settings.fps)
    for frame in videos.read_frames(job.file, is_due, decoding):
        image = frame.image if job.mosaic is None else boxes.pixelate(frame.image, job.mosaic.at(frame.index))
        if job.crop is not None:
            cropped = boxes.crop(image, job.crop.at(frame.index))
            if cropped is None:
                raise videos.VideoError(
                    f"{job.file}: the crop box at frame {frame.index} is outside the image; correct the box"
                )
            image = cropped
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


class _FrameRateLimit:
    """Selects at most `fps` frames per second of a video, when called with the times of its frames in ascending order.

    A call returns True for the first time in each interval of 1/fps seconds, and with 0 fps for every time.
    """

    def __init__(self, fps: float):
        self._fps, self._last = fps, -1

    def __call__(self, seconds: float) -> bool:
        # Files store rounded times. The margin counts a time that was rounded down into its own interval.
        interval = int(seconds * self._fps + 1e-3)
        if self._fps and interval <= self._last:
            return False
        self._last = interval
        return True


def _write_manifest(files: Mapping[str, pathlib.Path], out: pathlib.Path) -> shards.Manifest | None:
    """Writes and returns the manifest of the shard folder once all videos have metadata; until then returns None."""
    metadata = [json.loads(path.read_bytes()) for path in (out / shards.FOLDER).rglob("*.json")]
    metadata.sort(key=lambda entry: entry["video"])
    if files.keys() - {entry["video"] for entry in metadata}:
        return None
    extracted = [entry for entry in metadata if "skipped" not in entry]
    skipped = {entry["video"]: entry["skipped"] for entry in metadata if "skipped" in entry}
    content = {
        "settings": json.loads((out / SETTINGS).read_bytes()),
        "videos": len(extracted),
        "frames": sum(entry["frames"] for entry in extracted),
        "bytes": sum(entry["bytes"] for entry in extracted),
        "skipped": skipped,
        "shards": extracted,
    }
    io.write_json(out / shards.MANIFEST, content)
    return shards.read_manifest(out)


def _sha256(path: pathlib.Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the path") from error
