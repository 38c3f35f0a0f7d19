"""The program `aggpose evaluate`: computes the metrics of a run, a weight file, or the results of another program."""

import argparse
import hashlib
import logging
import pathlib
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from aggpose_jax import cli, io
from aggpose_jax.config import Config, read_experiment
from aggpose_jax.errors import UserError
from aggpose_jax.estimation.evaluation import Evaluation, with_openpose
from aggpose_jax.estimation.restore import restore
from aggpose_jax.evidence import card, examination, report
from aggpose_jax.evidence.files import write
from aggpose_jax.evidence.results import missing, score_results
from aggpose_jax.evidence.truth import Truth, read_truth
from aggpose_jax.evidence.units import FIELDS, read_units
from aggpose_jax.pose.metrics import METRICS
from aggpose_jax.runtime import compilation, sharding
from aggpose_jax.training.pose_task import annotated_evaluation_source
from aggpose_jax.training.reporting import table
from aggpose_jax.training.tasks import make_task


class Evaluated(NamedTuple):
    """An evaluation on a truth, and the step of its checkpoint (None without a run)."""

    step: int | None
    evaluation: Evaluation
    truth: Truth


def parser() -> cli.Parser:
    """Returns the parser of this program."""
    parser = cli.Parser(
        cli.command("evaluate"),
        "Computes AP, AR, OKS percentiles and PCK of a run, a weight file or the results of another program, such as "
        "OpenPose; prints them and writes them to a folder. With --by come 95 % intervals over infants.",
        [
            "--checkpoint runs/infant_l --config.eval_split=test --by infant_id",
            "--checkpoint aggpose_l.safetensors --config coco_l --out scores",
            "--results openpose_files --config infant_l --config.eval_split=test",
            "--results results.json --truth annotations.json --by infant_id --against other/results.json",
            "--compare runs/a runs/b --truth annotations.json --by infant_id",
        ],
    )
    parser.add_checkpoint_or_results()
    parser.add_argument("--which", choices=["best", "latest"], default="best", help="checkpoint of the run (best)")
    group = parser.add_argument_group("ground truth of results")
    group.add_argument(
        "--truth", type=cli.path, metavar="PATH",
        help="instead of --config: COCO keypoint annotations, or a folder with such a file for each film",
    )  # fmt: skip
    group.add_argument(
        "--keypoint-set", metavar="SET", help="name or file of the keypoint set, if --truth has no known one"
    )
    group = parser.add_argument_group("statistics")
    group.add_argument(
        "--by", choices=FIELDS,
        help="field of the images or annotations that names what is independent: gives 95 %% intervals",
    )  # fmt: skip
    group.add_argument(
        "--against", type=cli.path, metavar="PATH",
        help="results of another system on the same truth, folder of its evaluation, or persons.csv: tests",
    )  # fmt: skip
    group.add_argument(
        "--raters", type=cli.path, nargs="+", metavar="FILE",
        help="annotations of the same images by other people, a file for each: distances between them, and sigmas",
    )  # fmt: skip
    group = parser.add_argument_group("output")
    group.add_argument(
        "--out",
        type=cli.path,
        metavar="DIR",
        help="folder for metrics.json, results.json (COCO), persons.csv and card.md; by default that of the "
        "run, if one is evaluated",
    )
    return parser


def evaluate(
    source: pathlib.Path, experiment: str | None, overrides: Sequence[str], which: str, by: str | None = None
) -> Evaluated:
    """Evaluates a checkpoint of a run, or a weight file, after overriding keys of the configuration (KEY=VALUE).

    If `by` names the field of infants or videos, it is checked before the network runs.
    """
    config, model, variables, step = restore(source, experiment, overrides, which)
    task = make_task(config)
    if by:
        read_units(task.eval_source.ground_truth(), by)
    mesh = sharding.make_mesh(config.mesh.fsdp)
    evaluation = task.evaluate(jax.device_put(variables, sharding.replicated(mesh)), mesh)
    description = {"step": str(step), "network": config.model.name, **_data(config)}
    truth = Truth(evaluation.ground_truth, model.keypoint_set, description)
    return Evaluated(step, with_openpose(evaluation, truth.ground_truth, model.keypoint_set), truth)


def open_truth(
    path: pathlib.Path | None, keypoint_set: str | None, experiment: str | None, overrides: Sequence[str]
) -> Truth:
    """Returns the `Truth` of a file or folder, or of the evaluation split of an experiment if `path` is None.

    Raises:
      UserError: a file is missing or invalid, or the experiment has no such data set.
    """
    if path is not None:
        return read_truth(path, keypoint_set)
    if keypoint_set:
        raise UserError("--keypoint-set belongs to --truth; for an experiment, give --config.keypoint_set=SET")
    config = read_experiment(experiment, overrides)
    source, chosen = annotated_evaluation_source(config)
    return Truth(source.ground_truth(), chosen, _data(config))


def evaluate_results(path: pathlib.Path, experiment: str | None, overrides: Sequence[str]) -> Evaluation:
    """Evaluates results (see `score_results`) on the evaluation split of an experiment, after KEY=VALUE changes."""
    if not path.exists():
        raise missing(path)
    return score_results(path, open_truth(None, None, experiment, overrides))


def _data(config: Config) -> dict[str, str]:
    """Returns the items of the card that a configuration knows."""
    digest = hashlib.sha256(io.to_json(config.to_dict()).encode()).hexdigest()
    where = {"data folder": str(config.data_dir), "split": config.eval_split}
    return {"data": config.data, **({} if config.data == "synthetic" else where), "configuration, SHA-256": digest}


def _print(evaluation: Evaluation, name: str) -> None:
    if evaluation.reoriented:
        print(f"{evaluation.reoriented} images were rotated by their EXIF orientation, as their annotations state")
    rows = {name: evaluation.metrics}
    if evaluation.openpose:
        rows[f"{len(evaluation.openpose.keypoints)} keypoints that OpenPose has"] = evaluation.openpose.metrics
    print(table(rows, METRICS))
    print(table(rows, [name for name in evaluation.metrics if name not in METRICS]))
    print(table(evaluation.keypoints, list(next(iter(evaluation.keypoints.values())))))


def _compare_systems(arguments: argparse.Namespace) -> None:
    """Prints the table of --compare, and writes it to comparison.md."""
    truth = open_truth(arguments.truth, arguments.keypoint_set, arguments.config, arguments.overrides)
    examined = {}
    for path in arguments.compare:
        name = str(path) if path.name in [other.name for other in arguments.compare if other != path] else path.name
        examined[name] = examination.examine(score_results(path, truth), arguments.by)
    first, *others = examined
    compared = {}
    if arguments.by:
        compared = {name: examination.compare(examined[name], examined[first], first) for name in others}
    text = report.systems_table(examined, compared)
    print(text)
    if arguments.out:
        io.write_text(arguments.out / "comparison.md", text + "\n")


def main(arguments: argparse.Namespace) -> None:
    """Evaluates what a command line names; prints its metrics and writes them with its COCO results."""
    logging.getLogger("absl").setLevel(logging.ERROR)  # hides the progress messages of libraries
    compilation.enable_compilation_cache()
    if arguments.against and not arguments.by:
        raise UserError("--against: the test is over infants; name them with --by infant_id or --by video_id")
    if arguments.against and arguments.out and arguments.against.resolve() == arguments.out.resolve():
        raise UserError(f"{arguments.out}: --out would replace the system of --against; give another --out")
    for path in (arguments.against, *(arguments.raters or ())):
        if path and not path.exists():
            raise missing(path)
    if arguments.compare:
        return _compare_systems(arguments)
    source, out = arguments.checkpoint or arguments.results, arguments.out
    if arguments.results:
        if out and source.resolve() == (out / "results.json").resolve():
            raise UserError(f"{out}: its results.json is the file to score; give another --out")
        if not source.exists():
            raise missing(source)
        truth = open_truth(arguments.truth, arguments.keypoint_set, arguments.config, arguments.overrides)
        evaluated = Evaluated(None, score_results(source, truth), truth)
    elif arguments.truth or arguments.keypoint_set:
        raise UserError("--truth, --keypoint-set: belong to --results; a checkpoint has the data of its configuration")
    else:
        evaluated = evaluate(source, arguments.config, arguments.overrides, arguments.which, arguments.by)
    _report(evaluated, arguments, source, out or (source if evaluated.step is not None else None))


def _report(
    evaluated: Evaluated, arguments: argparse.Namespace, source: pathlib.Path, out: pathlib.Path | None
) -> None:
    """Prints and writes an evaluation with the statistics that the command line asks for."""
    step, evaluation, truth = evaluated
    name = source.resolve().name if step is None else f"step {step}"
    examined = examination.examine(evaluation, arguments.by)
    texts: list[str] = []
    added: dict[str, Any] = {}
    if arguments.by:
        texts.append(report.examination_text(examined))
    if arguments.against:
        compared = examination.compare_path(examined, arguments.against, truth)
        added["against"] = {"source": str(arguments.against), **examination.comparison_as_json(compared)}
        texts.append(report.comparison_text(compared, examined, str(arguments.against)))
    if arguments.raters:
        agreement = examination.compare_raters(examined, arguments.raters)
        added["raters"] = examination.raters_as_json(agreement)
        texts.append(report.raters_text(agreement, examined))
    if out:
        write(
            evaluation,
            out,
            examined,
            added,
            card.card(examined, source.resolve().name, {"evaluated": str(source), **truth.description}),
        )
    _print(evaluation, name)
    for text in texts:
        print(f"\n{text}")


if __name__ == "__main__":
    cli.run(parser, main, sys.argv[1:])
