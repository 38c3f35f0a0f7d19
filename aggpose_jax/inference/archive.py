"""Videos and images as a job that can be stopped at any moment and goes on where it was."""

import dataclasses
import json
import pathlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from aggpose_jax.data import files, videos
from aggpose_jax.data.annotations import read_detections
from aggpose_jax.data.coco import PERSON
from aggpose_jax.data.videos import Frame
from aggpose_jax.errors import UserError
from aggpose_jax.inference import shots
from aggpose_jax.inference.media import IMAGES, ahead, read_images
from aggpose_jax.inference.poses import Poses
from aggpose_jax.inference.predictor import Predictor, check_boxes
from aggpose_jax.inference.results import Wanted, image_numbers, write_image_results, write_video_results

MANIFEST = "manifest.json"
PARTIAL = ".partial"
LIST = ".txt"


class Source(NamedTuple):
    """One video, or all images of a job.

    Attributes:
      name: of its folder in the job's.
      paths: of the video, or of the images.
      files: names of the images; empty for a video.
    """

    name: str
    paths: tuple[pathlib.Path, ...]
    files: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Where:
    """Where persons are: in given boxes of every frame, in those of a detections file, or one infant anywhere.

    Attributes:
      boxes: [P][4] for every frame; empty to use the others.
      detections: file of COCO detection results, or a folder with VIDEO.json for each video.
      whole: the box is the whole picture.
    """

    boxes: tuple[tuple[float, ...], ...] = ()
    detections: pathlib.Path | None = None
    whole: bool = False

    def of(self, source: Source) -> shots.Boxes | None:
        """Boxes of the frames of a source; None to look for one infant.

        Raises:
          UserError: there is no file of detections for it.
        """
        if self.whole:
            return shots.whole
        if self.boxes:
            return _checked(source, lambda frame: np.array(self.boxes))
        return _checked(source, _detected(self.detections, source)) if self.detections else None


class Summary(NamedTuple):
    """What a job did: sources done now and before, frames of those done now and how many have a pose, and faults."""

    done: int
    before: int
    frames: int
    found: int
    failures: list[str]


def find_sources(inputs: Sequence[pathlib.Path], out: pathlib.Path) -> list[Source]:
    """The videos of files, folders and lists (.txt, a path a line), and one source of all their images.

    A folder is searched to the bottom, but for hidden files and what lies in `out`.

    Raises:
      UserError: a path is missing or of another kind, nothing is there, or two videos have one name.
    """
    found, images = [], []
    for path, name in _expand(inputs, out):
        if path.suffix.lower() in IMAGES:
            images.append((path, name))
        else:
            found.append(Source(name.removesuffix(path.suffix), (path,)))
    if images:
        paths, names = zip(*images, strict=True)
        found.append(Source("images", paths, names))
    if not found:
        raise UserError(f"{', '.join(map(str, inputs))}: no video and no image there; give some")
    by_name: dict[str, Source] = {}
    for source in found:
        other = by_name.setdefault(source.name, source)
        if other is not source:
            raise UserError(f"{other.paths[0]} and {source.paths[0]} would both be written to {out / source.name}; "
                            "rename one, or give them different --out")  # fmt: skip
    return found


def run(
    predictor: Predictor,
    sources: Sequence[Source],
    out: pathlib.Path,
    where: Where,
    wanted: Wanted,
    settings: dict,
) -> Summary:
    """Predicts sources that are not done yet; each appears in `out` when it is whole. Faulty ones are skipped.

    Args:
      predictor: the network.
      sources: of `find_sources`.
      out: new folder, or that of the same job.
      where: persons are.
      wanted: results.
      settings: what else makes results differ; a job with others is refused.

    Raises:
      UserError: `out` is of another job or cannot be written.
    """
    made_by = {"network": predictor.digest, **settings, **dataclasses.asdict(wanted), **dataclasses.asdict(where)}
    job = _Job(out, json.loads(json.dumps(made_by, default=str)))
    left = [source for source in sources if not job.is_done(source)]
    frames = found = done = 0
    failures = []
    with tqdm(total=sum(map(_count, left)), unit="frame", smoothing=0.05, disable=None) as bar:
        for number, source in enumerate(left, 1):
            bar.set_description(f"{number}/{len(left)} {source.name}")
            try:
                poses, faults = _predict(predictor, source, job.partial(), where, wanted, bar)
                frames, found = frames + len(poses.times), found + len(np.unique(poses.row))
                job.keep(source, poses, faults)
            except UserError as error:
                faults = [str(error)]
                job.give_up(source, faults)
            except OSError as error:
                raise UserError(
                    f"{out}: cannot be written ({error.strerror}); make room or give another --out"
                ) from error
            done += not faults
            failures += faults
    return Summary(done, len(sources) - len(left), frames, found, failures)


class _Job:
    """The folder of a job: a folder of results for each source, and the manifest that says which are whole."""

    def __init__(self, out: pathlib.Path, settings: dict):
        self._out = out
        manifest = out / MANIFEST
        if manifest.exists():
            self._manifest = _read_manifest(manifest, settings)
        else:
            files.new_folder(out)
            self._manifest = {"settings": settings, "done": {}, "failed": {}}
            self._write()

    def is_done(self, source: Source) -> bool:
        """The source has whole results, and has not changed since."""
        return self._manifest["done"].get(source.name, {}).get("source") == _identity(source)

    def partial(self) -> pathlib.Path:
        """A new folder for results that are not whole yet."""
        folder = self._out / PARTIAL
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def keep(self, source: Source, poses: Poses, faults: list[str]) -> None:
        """The results are whole, but for faults of single images."""
        self._forget(source)
        (self._out / source.name).parent.mkdir(parents=True, exist_ok=True)
        (self._out / PARTIAL).rename(self._out / source.name)
        if faults:
            self._manifest["failed"][source.name] = faults
        else:
            frames, found = len(poses.times), len(np.unique(poses.row))
            self._manifest["done"][source.name] = {"source": _identity(source), "frames": frames, "found": found}
        self._write()

    def give_up(self, source: Source, faults: list[str]) -> None:
        """The source cannot be read; results of an earlier state of it go too."""
        self._forget(source)
        shutil.rmtree(self._out / PARTIAL, ignore_errors=True)
        self._manifest["failed"][source.name] = faults
        self._write()

    def _forget(self, source: Source) -> None:
        self._manifest["done"].pop(source.name, None)
        self._manifest["failed"].pop(source.name, None)
        shutil.rmtree(self._out / source.name, ignore_errors=True)

    def _write(self) -> None:
        files.write_json(self._manifest, self._out / MANIFEST)


def _read_manifest(path: pathlib.Path, settings: dict) -> dict:
    try:
        manifest = json.loads(path.read_bytes())
        theirs = manifest["settings"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read as that of a job ({error}); give another --out") from error
    different = [key for key in settings if theirs.get(key) != settings[key]]
    if different:
        key = different[0]
        raise UserError(f"{path.parent}: holds results of another job ({key} {theirs.get(key)} there, {settings[key]} "
                        "here); give another --out")  # fmt: skip
    return manifest


def _predict(
    predictor: Predictor, source: Source, folder: pathlib.Path, where: Where, wanted: Wanted, bar: tqdm
) -> tuple[Poses, list[str]]:
    """Writes the results of a source into a folder; the poses, and what could not be read of its images."""
    faults: list[str] = []
    boxes = where.of(source)
    frames = ahead(read_images(source.paths, faults) if source.files else videos.read_frames(source.paths[0]))
    if boxes:
        seen = shots.look(predictor, frames, boxes)
    else:
        seen = (shots.search if source.files else shots.follow)(predictor, frames)
    seen = ahead(_counted(seen, bar))
    if source.files:
        poses = write_image_results(seen, folder, source.files, predictor.keypoint_set, wanted)
        if not len(poses.times):
            raise UserError(faults[0])
    else:
        stem = pathlib.PurePath(source.name).name
        poses = write_video_results(seen, folder, stem, predictor.keypoint_set, wanted)
    return poses, faults


def _counted(items: Iterable, bar: tqdm) -> Iterator:
    for item in items:
        yield item
        bar.update()


def _count(source: Source) -> int:
    """Frames of a source, for the progress bar; a fault is told when it is read."""
    try:
        return len(source.files) or videos.count_frames(source.paths[0])
    except UserError:
        return 0


def _identity(source: Source) -> list:
    """What changes when a file of the source does."""
    facts = [(str(path.resolve()), path.stat()) for path in source.paths]
    return [[path, stat.st_size, stat.st_mtime_ns] for path, stat in facts]


def _expand(inputs: Sequence[pathlib.Path], out: pathlib.Path) -> Iterator[tuple[pathlib.Path, str]]:
    """Every file and its name: below the folder that was given, or alone."""
    for given in inputs:
        if given.is_dir():
            for path in sorted(given.rglob("*")):
                name = path.relative_to(given)
                hidden = any(part.startswith(".") for part in name.parts)
                if path.suffix.lower() in (*IMAGES, *videos.SUFFIXES) and not hidden and out not in path.parents:
                    yield path, name.as_posix()
        elif not given.is_file():
            raise UserError(f"{given}: no such file or folder; check the path")
        elif given.suffix.lower() == LIST:
            lines = given.read_text().splitlines()
            yield from _expand([pathlib.Path(line.strip()) for line in lines if line.strip()], out)
        elif given.suffix.lower() in (*IMAGES, *videos.SUFFIXES):
            yield given, given.name
        else:
            known = ", ".join((*IMAGES, *videos.SUFFIXES, LIST))
            raise UserError(f"{given}: is neither a video nor an image nor a list of them; known are {known}")


def _checked(source: Source, boxes: shots.Boxes) -> shots.Boxes:
    """The same boxes; one without size or outside of its picture is told with its place."""

    def checked(frame: Frame) -> np.ndarray:
        try:
            return check_boxes(boxes(frame), frame.image.shape[:2])
        except UserError as error:
            place = source.paths[frame.index] if source.files else f"{source.paths[0]}, frame {frame.index}"
            raise UserError(f"{place}: {error}") from None

    return checked


def _detected(path: pathlib.Path, source: Source) -> shots.Boxes:
    """Boxes by frame of a file of detections.

    An entry's `image_id` is the number of the frame, from 0, or of the image; `file_name` names an image, too.
    """
    file = path / f"{source.name}.json" if path.is_dir() else path
    boxes: dict[int | str, list] = {}
    for entry in read_detections(file):
        if entry["category_id"] == PERSON:
            boxes.setdefault(entry.get("file_name", entry["image_id"]), []).append(entry["bbox"])
    numbers = image_numbers(source.files)

    def of(frame: Frame) -> np.ndarray:
        keys = (source.files[frame.index], numbers[frame.index]) if source.files else (frame.index,)
        return np.array([box for key in keys for box in boxes.get(key, ())], np.float64).reshape(-1, 4)

    return of
