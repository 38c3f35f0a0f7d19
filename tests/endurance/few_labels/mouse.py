"""The part of the protocol on DeepLabCut's open-field example, as jobs: a mouse with few labels and a film without."""

import functools
import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator

import cells
import cv2
import numpy as np
import starts
from cells import Cell
from fine_tuning import FineTuning, Settings
from infants import ROOT, Infants
from jobs import Job
from pseudo_labels import adapt
from variables import load, save

from aggpose_jax.data.videos import read_frames
from aggpose_jax.io import write_json
from aggpose_jax.pose import geometry
from configs import finetune_synthetic

BLOCKS, LABELS, STEPS = 5, (25, 10, 50), 500
SIZE = (192, 256)  # height and width of the crops, whole frames
FRAMES, UNLABELLED = 2330, 400  # frames of the film, and those for pseudo-labels, evenly spaced
MASKED = "open_field"


class Mouse:
    """The jobs in a folder.

    Args:
      folder: folder of all results.
      project: folder of the example, in DeepLabCut's layout.
      infants: the part on infants, whose tuning holds here too.
    """

    def __init__(self, folder: pathlib.Path, project: pathlib.Path, infants: Infants):
        self.folder, self.project, self.infants = folder, project, infants
        self.data = folder / "mouse"

    def jobs(self) -> Iterator[Job | None]:
        """Yields the jobs that can be done now, and None if results are missing that later jobs need."""
        yield Job(self.data / "done.json", self.prepare)
        masked = self.infants.compared()[2]
        if not masked or not (self.data / "done.json").exists():
            yield None
            return
        yield Job(self.folder / "pretraining" / MASKED / "done.json", functools.partial(self.pretrain, masked))
        for labels in LABELS:
            for start, tuned in ((cells.RANDOM, cells.RANDOM), (MASKED, masked), (cells.PSEUDO, cells.PSEUDO)):
                yield from self.runs(start, tuned, labels)

    def runs(self, start: str, tuned: str, labels: int) -> Iterator[Job | None]:
        """Yields the runs of a start on all blocks, as soon as its initial variables and its settings are known."""
        needed = {
            cells.RANDOM: [],
            MASKED: [self.folder / "pretraining" / MASKED / "done.json"],
            cells.PSEUDO: [file(self.folder, cells.RANDOM, labels, block) for block in range(BLOCKS)],
        }
        if not cells.finished(self.folder, cells.tuning(tuned)) or not all(path.exists() for path in needed[start]):
            yield None
            return
        for block in range(BLOCKS):
            cell = Cell("mouse", start, labels, *self.infants.setting(tuned), block, STEPS)
            yield Job(file(self.folder, start, labels, block), functools.partial(self.run, cell))

    def prepare(self) -> None:
        """Imports the labels, and extracts the frames of the film without labels."""
        if not (self.data / "labels").exists():
            call("prepare", "import", str(self.project), "--from=deeplabcut", f"--out={self.data / 'labels'}")
        (film,) = sorted((self.project / "videos").iterdir())
        for frame in read_frames(film):
            # Pretraining holds out a folder for its evaluation, so the film is ten folders.
            path = self.data / "frames" / f"part_{frame.index * 10 // FRAMES}" / f"{frame.index:05}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), frame.image[..., ::-1])
        write_json(self.data / "done.json", {})

    def pretrain(self, variant: str) -> None:
        """Runs the chosen masked pretraining on the frames of the film."""
        begin, workdir = time.monotonic(), self.folder / "pretraining" / MASKED
        config = pathlib.Path(__file__).with_name("pretraining.py")
        call("main", f"--config={config}:film,{variant}", f"--config.data_dir={self.data / 'frames'}",
             f"--workdir={workdir}")  # fmt: skip
        write_json(workdir / "done.json", {"seconds": time.monotonic() - begin})

    @functools.cached_property
    def tuner(self) -> FineTuning:
        """The training of the network on whole frames."""
        config = finetune_synthetic.get_config()
        config.model.name = "mit_pose_tiny"
        config.keypoint_set = str(self.data / "labels" / "keypoint_set.json")
        config.input_size = SIZE
        config.augmentation.rotation, config.augmentation.rotation_probability = 90.0, 1.0
        config.augmentation.scale = 0.35
        return FineTuning(config)

    @functools.cached_property
    def labelled(self) -> list[dict]:
        """The labelled frames in the order of the film, as records whose crops are whole frames."""
        content = json.loads((self.data / "labels" / "annotations" / "person_keypoints_all.json").read_text())
        names = {image["id"]: image["file_name"] for image in content["images"]}
        people = sorted(content["annotations"], key=lambda person: names[person["image_id"]])
        images = [cv2.imread(str(self.data / "labels" / "all" / names[p["image_id"]]))[..., ::-1] for p in people]
        return [
            record(image, number, np.reshape(person["keypoints"], (-1, 3)))
            for number, (image, person) in enumerate(zip(images, people, strict=True))
        ]

    @functools.cached_property
    def unlabelled(self) -> list[dict]:
        """Evenly spaced frames of the film, as such records without labels."""
        (film,) = sorted((self.project / "videos").iterdir())
        frames = [frame.image for frame in read_frames(film)]
        chosen = np.linspace(0, len(frames) - 1, UNLABELLED).astype(int)
        return [record(frames[index], 1000 + number, np.zeros((4, 3))) for number, index in enumerate(chosen)]

    @functools.cached_property
    def length(self) -> float:
        """The median distance of snout and tail base in pixels, which stands for the torso length."""
        points = np.stack([one["keypoints"] for one in self.labelled])
        return float(np.median(np.linalg.norm(points[:, 0, :2] - points[:, -1, :2], axis=-1)))

    def run(self, cell: Cell) -> None:
        """Trains on labels of all blocks but one, and measures the error on this one."""
        begin = time.monotonic()
        parts = np.array_split(np.arange(len(self.labelled)), BLOCKS)
        rest = np.setdiff1d(np.arange(len(self.labelled)), parts[cell.seed])
        drawn = np.random.default_rng((cell.seed, 1)).permutation(rest)[: cell.labels]
        records = [self.labelled[index] for index in drawn]
        settings = Settings(cell.rate, cell.layer_decay, cell.steps, cell.seed)
        result = file(self.folder, cell.start, cell.labels, cell.seed)
        details = {}
        if cell.start == cells.PSEUDO:
            teacher = load(file(self.folder, cells.RANDOM, cell.labels, cell.seed).with_suffix(".npz"))
            trained, details["rounds"] = adapt(self.tuner, teacher, records, self.unlabelled, settings, self.length)
        else:
            new = self.tuner.new_variables(cell.seed)
            source = self.folder / "pretraining" / MASKED
            start = new if cell.start == cells.RANDOM else starts.from_weights(self.tuner, source, new)
            trained = self.tuner.train(start, records, settings)
        if cell.start == cells.RANDOM:
            save(result.with_suffix(".npz"), trained)
        errors = self.errors(trained, [self.labelled[index] for index in parts[cell.seed]])
        write_json(result, {"mean": float(np.nanmean(errors)), "RMSE": float(np.sqrt(np.nanmean(errors**2))), **details,
                            "seconds": time.monotonic() - begin})  # fmt: skip

    def errors(self, variables, records: list[dict]) -> np.ndarray:
        """Returns the distances [N, K] in pixels of keypoints from their labels; NaN without a label."""
        points = self.tuner.estimate(variables, records)[..., :2]
        truth = np.stack([one["keypoints"] for one in records])
        return np.where(truth[..., 2] > 0, np.linalg.norm(points - truth[..., :2], axis=-1), np.nan)


def file(folder: pathlib.Path, start: str, labels: int, block: int) -> pathlib.Path:
    """Returns the file of the result of a run."""
    return folder / "mouse" / "runs" / f"{start}_{labels}_{block}.json"


def record(image: np.ndarray, number: int, keypoints: np.ndarray) -> dict:
    """Returns a record whose crop is the whole image."""
    height, width = image.shape[:2]
    _, padded = geometry.crop_region(np.array([0.0, 0.0, width, height]), width / height)
    side = np.array([width, height]) ** 2 / padded
    box = np.concatenate([(np.array([width, height]) - side) / 2, side]).astype(np.float32)
    return {"image": image, "box": box, "keypoints": keypoints.astype(np.float32), "area": float(side.prod()),
            "image_id": number, "id": number}  # fmt: skip


def call(program: str, *arguments: str) -> None:
    """Runs a program of the package."""
    subprocess.run((sys.executable, "-m", f"aggpose_jax.{program}", *arguments), cwd=ROOT, check=True)
