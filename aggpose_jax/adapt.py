"""The program `aggpose adapt`: trains a network further on its own predictions of unlabelled films."""

import argparse
import logging
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from aggpose_jax import cli, io
from aggpose_jax.adaptation import films, pseudo_labels, report, student
from aggpose_jax.adaptation.films import Film, Network
from aggpose_jax.adaptation.selection import Selection
from aggpose_jax.data import writers
from aggpose_jax.data.coco import CocoKeypoints
from aggpose_jax.errors import UserError
from aggpose_jax.inference.sources import Source, find_sources
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.runtime import compilation
from aggpose_jax.training.reliability import storage_errors

JOB, REPORT = "job.json", "adaptation.json"


def parser() -> cli.Parser:
    """Returns the parser of this program."""
    parser = cli.Parser(
        cli.command("adapt"),
        "Trains a network further on unlabelled films: it labels frames where it is sure, and a copy of it learns\n"
        "them under stronger augmentation; that copy labels the films in the next round. Measure the result on\n"
        "labelled images of your own: a network can also become sure of its mistakes. Rerunning the same command\n"
        "resumes.",
        [
            "films --init-from pretrained --workdir runs/ward",
            "films --init-from runs/mine --workdir runs/ward --labels data/mine --rounds 3 --config.steps=3000",
        ],
    )
    parser.add_argument(
        "films", nargs="+", type=cli.path, metavar="FILM", help="video, folder of videos or list (.txt)"
    )
    parser.add_argument(
        "--init-from", type=cli.path, required=True, metavar="RUN",
        help="network to adapt: folder of a run, a weight file with --config, or pretrained: that of this package",
    )  # fmt: skip
    parser.add_argument(
        "--workdir", type=cli.path, required=True, metavar="DIR",
        help="folder for data, runs and the report: a new one, or that of the same command",
    )  # fmt: skip
    parser.add_argument(
        "--labels", type=cli.path, metavar="DIR",
        help="labelled COCO data set: its split train is trained on too, val and test are evaluated before and after",
    )  # fmt: skip
    parser.add_argument("--rounds", type=cli.count, default=2, metavar="N", help="number of rounds (2)")
    parser.add_experiment("experiment with the network of a weight file; a run has its own configuration")
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Adapts a network, and prints and writes what it changed.

    Raises:
      UserError: the network is sure of no frame, so that nothing is trained; or some films cannot be read, after the
        network was adapted to the others.
    """
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # hides messages of libraries; errors are raised all the same
    student.check_overrides(arguments.overrides)
    sources = find_films(arguments)
    compilation.enable_compilation_cache()
    network = films.load(arguments.init_from, arguments.config, arguments.overrides)
    keypoint_set = network.predictor.keypoint_set
    _check(arguments, keypoint_set)
    with storage_errors.as_user_error(arguments.workdir):
        open_job(arguments, sources, network.predictor.digest)
        found, failures = adapt(arguments, sources, network)
    print(report.text(found))
    run = arguments.workdir / f"round_{arguments.rounds}" / "run"
    print(f"use it: {cli.command('predict')} --checkpoint {run} VIDEO --out keypoints")
    if failures:
        for failure in failures:
            print(f"left out: {failure}", file=sys.stderr)
        raise UserError(f"{len(failures)} of {len(sources)} films were left out, see above; the first: {failures[0]}")


def find_films(arguments: argparse.Namespace) -> list[Source]:
    """Returns the videos of a command line; prints how many images are left out.

    Raises:
      UserError: there is no video.
    """
    sources = find_sources(arguments.films, arguments.workdir).sources
    videos = [source for source in sources if not source.files]
    for source in sources:
        if source.files:
            print(f"left out {len(source.files)} images, the first {source.paths[0]}: only films are used")
    if not videos:
        raise UserError(f"{', '.join(map(str, arguments.films))}: no video found; give at least one")
    return videos


def _check(arguments: argparse.Namespace, keypoint_set: KeypointSet) -> None:
    """Checks what can be checked before anything is written."""
    if keypoint_set.one_sided:
        raise UserError(
            f"--init-from: {keypoint_set.one_sided[0]} has no counterpart on the other side, so that mirror images "
            "cannot be compared; give a network of another keypoint set"
        )
    if arguments.labels:
        for split in ("train", *_evaluated(arguments.labels)):
            CocoKeypoints(arguments.labels, split, keypoint_set)


def open_job(arguments: argparse.Namespace, sources: Sequence[Source], digest: str) -> None:
    """Creates the workdir with a file that describes the job, unless it is that of the same job.

    Raises:
      UserError: the workdir is of another job, or holds other files.
    """
    job = {
        "network": digest,
        "films": [os.path.realpath(source.paths[0]) for source in sources],
        "labels": os.path.realpath(arguments.labels) if arguments.labels else None,
        "config": sorted(arguments.overrides),
    }
    file = arguments.workdir / JOB
    if not file.exists():
        io.write_json(writers.new_folder(arguments.workdir) / JOB, job, indent=1)
        return
    stored = io.read_json(file)
    different = [key for key in job if not isinstance(stored, dict) or stored.get(key) != job[key]]
    if different:
        raise UserError(f"{arguments.workdir}: is the folder of another job, with other {' and '.join(different)}, see "
                        f"{JOB}; choose another --workdir")  # fmt: skip


def adapt(arguments: argparse.Namespace, sources: Sequence[Source], network: Network) -> tuple[dict, list[str]]:
    """Trains the students of all rounds; what an earlier call has finished is not done again.

    Args:
      arguments: of the command line.
      sources: the films.
      network: the given network.

    Returns:
      The report, which is written as well, and a message for each film that could not be read.
    """
    workdir = arguments.workdir
    before, failures = films.examine(network, sources, workdir / "given")
    teacher, current, rounds = network, before, []
    for number in range(1, arguments.rounds + 1):
        folder = workdir / f"round_{number}"
        selections = [pseudo_labels.select_points(film, teacher.predictor.digest) for film in current]
        rounds.append(report.of_selection(selections, network.predictor.keypoint_set))
        _check_used(rounds, workdir)
        print(f"round {number}: {report.round_line(rounds[-1])}")
        print("the AP that training prints is the agreement with the labels of the network, not accuracy", flush=True)
        train_round(folder, current, selections, network, arguments)
        teacher = films.load(folder / "run")
        current, _ = films.examine(teacher, sources, folder)
    found: dict[str, Any] = {
        "init_from": str(arguments.init_from),
        "films": [film.name for film in current],
        "failed": failures,
        "rounds": rounds,
        "change": report.of_change(before, current),
        "AP": average_precision(arguments, folder / "run"),
        "note": report.NOTE,
    }
    io.write_json(workdir / REPORT, found, indent=1)
    return found, failures


def train_round(
    folder: pathlib.Path,
    found: Sequence[Film],
    selections: Sequence[Selection],
    network: Network,
    arguments: argparse.Namespace,
) -> None:
    """Writes the data of a round and trains its student, which starts from the given network."""
    data, keypoint_set = folder / "data", network.predictor.keypoint_set
    pseudo_labels.write(data, found, selections, keypoint_set, arguments.labels)
    config = student.make_config(network.config, data, str(arguments.init_from), arguments.overrides)
    student.train(config, folder / "run")


def _check_used(rounds: Sequence[dict[str, Any]], workdir: pathlib.Path) -> None:
    """Raises a UserError if no frame is used in the last of some rounds."""
    *earlier, last = rounds
    if last["frames_used"]:
        return
    done = f"{workdir / f'round_{len(earlier)}' / 'run'} is the last result" if earlier else "nothing was trained"
    raise UserError(
        f"round {len(rounds)}: the network is sure of no frame ({report.round_line(last)}); {done}; label some frames "
        "of these films and train on them"
    )


def _evaluated(labels: pathlib.Path | None) -> list[str]:
    """Returns which of the splits val and test a labelled data set has."""
    names = [] if labels is None else [path.stem for path in (labels / "annotations").glob("person_keypoints_*.json")]
    return [split for split in ("val", "test") if f"person_keypoints_{split}" in names]


def average_precision(arguments: argparse.Namespace, run: pathlib.Path) -> dict[str, dict[str, float]]:
    """Returns AP before and after by split of the labelled data, of those of val and test that exist."""
    found = {}
    for split in _evaluated(arguments.labels):
        data = ["data=coco", f"data_dir={arguments.labels}", "train_split=train", f"eval_split={split}", "detections="]
        found[split] = {
            "before": student.evaluate(arguments.init_from, arguments.config, [*arguments.overrides, *data]),
            "after": student.evaluate(run, None, data),
        }
    return found


if __name__ == "__main__":
    cli.restart_with_huge_pages()
    cli.run(parser, main, sys.argv[1:])
