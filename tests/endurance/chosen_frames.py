"""Compares fine-tuning on frames that `prepare choose` has chosen with fine-tuning on as many random frames.

python tests/endurance/chosen_frames.py WORKDIR

Rerun the command to resume. The table is written to WORKDIR/chosen_frames.md.

Protocol. `prepare synthetic` draws 60 films of 40 frames, each of another infant. The network of the package predicts
the first 40 films. From them, 100 frames are chosen by `prepare choose`, or drawn at random, by another seed in each
of three repetitions; the choice is the same in all of them. `prepare export` writes these frames, and the truth of
the films takes the place of the person who corrects them. The network of the package is then fine-tuned on them, with
the seed of the repetition, and measured on every fourth frame of the other 20 films, in their annotated boxes. The
measures are AP and the median error in torso lengths. A network that is not fine-tuned is measured beside them.
Whichever wins is reported; with three repetitions no test can show a difference of less than about three standard
deviations.
"""

import json
import pathlib
import random
import subprocess
import sys

import cv2
import numpy as np

from aggpose_jax.data.videos import read_frames
from aggpose_jax.evidence import persons
from aggpose_jax.io import write_json

ROOT = pathlib.Path(__file__).parents[2]
POOL, FILMS, FRAMES, LABELS, SEEDS = 40, 60, 40, 100, 3
OPTIONS = {
    **{"data": "coco", "eval_split": "test", "init_from": "pretrained", "batch_size": 16, "steps": 200},
    **{"learning_rate": 5e-4, "eval_epochs": 10000.0, "augmentation.window": 0.0, "log_steps": 100},
}


def run(program: str, *arguments: str) -> None:
    """Runs a program of the package in its folder."""
    subprocess.run((sys.executable, "-m", f"aggpose_jax.{program}", *arguments), cwd=ROOT, check=True)


def film_name(number: int) -> str:
    """Returns the name of a film, which are numbered from 1."""
    return f"video_{number:06}"


def truth_of(films: pathlib.Path, name: str) -> tuple[dict, dict[int, dict]]:
    """Returns the content of a film's annotation file, and the person of each frame."""
    content = json.loads((films / "annotations" / "videos" / f"{name}.json").read_text())
    frames = {image["id"]: image["frame"] for image in content["images"]}
    return content, {frames[person["image_id"]]: person for person in content["annotations"]}


def predict(films: pathlib.Path, out: pathlib.Path) -> None:
    """Predicts the films that frames are chosen from."""
    paths = [str(films / "videos" / f"{film_name(number)}.mp4") for number in range(1, POOL + 1)]
    run("predict", *paths, f"--out={out}", "--no-overlay")


def draw_frames(file: pathlib.Path, seed: int) -> None:
    """Writes a list of random frames in the format of `prepare choose`."""
    every = [(film_name(number), frame) for number in range(1, POOL + 1) for frame in range(FRAMES)]
    drawn = random.Random(seed).sample(every, LABELS)
    file.write_text("video,frame\n" + "".join(f"{name},{frame}\n" for name, frame in sorted(drawn)))


def write_train_split(films: pathlib.Path, results: pathlib.Path, frames: pathlib.Path, out: pathlib.Path) -> None:
    """Exports frames, replaces the predictions by the truth, and imports them as the split train."""
    labels = out / "labels"
    run("prepare", "export", str(results), f"--frames={frames}", "--to=coco", f"--out={labels}")
    content = json.loads((labels / "annotations.json").read_text())
    people = []
    for image in content["images"]:
        _, truth = truth_of(films, image["video_id"])
        people.append(truth[image["frame"]] | {"id": image["id"], "image_id": image["id"], "category_id": 1})
    write_json(labels / "annotations.json", content | {"annotations": people})
    run("prepare", "import", str(labels), "--from=coco", "--split=train", f"--out={out / 'data'}")


def write_test_split(films: pathlib.Path, data: pathlib.Path) -> None:
    """Writes every fourth frame of the other films as the split test."""
    (data / "test").mkdir(exist_ok=True)
    images, people = [], []
    for number in range(POOL + 1, FILMS + 1):
        content, truth = truth_of(films, film_name(number))
        for frame in read_frames(films / "videos" / f"{film_name(number)}.mp4"):
            if frame.index % 4 == 0 and frame.index in truth:
                name, key = f"{film_name(number)}_{frame.index}.png", len(images) + 1
                cv2.imwrite(str(data / "test" / name), frame.image[..., ::-1])
                height, width = frame.image.shape[:2]
                images.append({"id": key, "file_name": name, "width": width, "height": height, "video_id": number})
                people.append(truth[frame.index] | {"id": key, "image_id": key})
    content |= {"images": images, "annotations": people}
    write_json(data / "annotations" / "person_keypoints_test.json", content)


def measure(folder: pathlib.Path, *arguments: str) -> dict[str, float]:
    """Evaluates a network unless that is done; returns its AP and its median error in torso lengths."""
    if not (folder / persons.PERSONS).exists():
        run("evaluate", *arguments, f"--out={folder}", "--by=video_id")
    metrics = json.loads((folder / "metrics.json").read_text())["metrics"]
    return {"AP": metrics["AP"], "error": float(np.nanmedian(persons.read(folder / persons.PERSONS).error))}


def fine_tune(arm: str, seed: int, workdir: pathlib.Path) -> dict[str, float]:
    """Fine-tunes and measures a network on the frames of one arm."""
    films, results, folder = workdir / "films", workdir / "keypoints", workdir / f"{arm}_{seed}"
    if not (folder / "data" / "annotations" / "person_keypoints_test.json").exists():
        frames = workdir / "chosen.csv"
        if arm == "random":
            frames = workdir / f"random_{seed}.csv"
            draw_frames(frames, seed)
        write_train_split(films, results, frames, folder)
        write_test_split(films, folder / "data")
    flags = [f"--config.{key}={value}" for key, value in OPTIONS.items()]
    flags += [f"--config.data_dir={folder / 'data'}", f"--config.seed={seed}", "--config.train_split=train"]
    run("main", "--config=configs/pretrained.py", f"--workdir={folder / 'run'}", *flags)
    return measure(folder / "evaluation", f"--checkpoint={folder / 'run'}")


def main(folder: str) -> None:
    """Runs all repetitions of both arms and prints the table."""
    workdir = pathlib.Path(folder).resolve()
    if not (workdir / "films").exists():
        out = f"--out={workdir / 'films'}"
        run("prepare", "synthetic", out, "--images=10", f"--videos={FILMS}", f"--frames={FRAMES}")
    predict(workdir / "films", workdir / "keypoints")
    if not (workdir / "chosen.csv").exists():
        run("prepare", "choose", str(workdir / "keypoints"), f"--frames={LABELS}", f"--out={workdir / 'chosen.csv'}")
    rows = [
        "| frames | AP of each repetition | mean | median error of each | mean |",
        "| --- | --- | --- | --- | --- |",
    ]
    for arm in ("chosen", "random"):
        found = [fine_tune(arm, seed, workdir) for seed in range(SEEDS)]
        columns = []
        for key in ("AP", "error"):
            values = [one[key] for one in found]
            columns += [", ".join(f"{value:.3f}" for value in values), f"{np.mean(values):.3f}"]
        rows.append(f"| {arm} | {' | '.join(columns)} |")
    data = f"--config.data_dir={workdir / 'chosen_0' / 'data'}"
    options = ("--config.data=coco", "--config.eval_split=test", data)
    start = measure(workdir / "pretrained", "--checkpoint=pretrained", *options)
    rows.append(f"| none | | {start['AP']:.3f} | | {start['error']:.3f} |")
    (workdir / "chosen_frames.md").write_text("\n".join(rows) + "\n")
    print("\n".join(rows))


if __name__ == "__main__":
    main(sys.argv[1])
