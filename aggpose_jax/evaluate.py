"""The program `aggpose evaluate`: computes the metrics of a run, a weight file, or the results of another program."""

import argparse
import logging
import pathlib
import sys
from collections.abc import Sequence

import jax

from aggpose_jax import cli, io
from aggpose_jax.config import read_experiment
from aggpose_jax.data.annotations import read_results
from aggpose_jax.errors import UserError
from aggpose_jax.estimation import openpose_results
from aggpose_jax.estimation.evaluation import Evaluation, score, with_openpose
from aggpose_jax.estimation.openpose_results import OpenPoseResults
from aggpose_jax.estimation.restore import restore
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.pose.metrics import METRICS
from aggpose_jax.runtime import compilation, sharding
from aggpose_jax.training.pose_task import annotated_evaluation_source
from aggpose_jax.training.reporting import table
from aggpose_jax.training.tasks import make_task

NAMED = 10  # files that match no image, of which a warning contains the names


def parser() -> cli.Parser:
    """Returns the parser of this program."""
    parser = cli.Parser(
        cli.command("evaluate"),
        "Computes AP, AR, OKS percentiles and PCK of a run, a weight file or the results of another program, such as "
        "OpenPose; prints them and writes them to a folder.",
        [
            "--checkpoint runs/infant_l --config.eval_split=test",
            "--checkpoint aggpose_l.safetensors --config coco_l --out scores",
            "--results openpose_files --config infant_l --config.eval_split=test",
        ],
    )
    parser.add_checkpoint_or_results()
    parser.add_argument("--which", choices=["best", "latest"], default="best", help="checkpoint of the run (best)")
    group = parser.add_argument_group("output")
    group.add_argument(
        "--out",
        type=cli.path,
        metavar="DIR",
        help="folder for metrics.json and results.json (COCO); by default that of the run, if one is evaluated",
    )
    return parser


def evaluate(
    source: pathlib.Path, experiment: str | None, overrides: Sequence[str], which: str
) -> tuple[int | None, Evaluation]:
    """Evaluates a checkpoint of a run, or a weight file, after overriding keys of the configuration (KEY=VALUE).

    Returns:
      The step of the checkpoint, or None for a weight file, and the evaluation.
    """
    config, model, variables, step = restore(source, experiment, overrides, which)
    task = make_task(config)
    mesh = sharding.make_mesh(config.mesh.fsdp)
    evaluation = task.evaluate(jax.device_put(variables, sharding.replicated(mesh)), mesh)
    return step, with_openpose(evaluation, task.eval_source.ground_truth(), model.keypoint_set)


def evaluate_results(path: pathlib.Path, experiment: str | None, overrides: Sequence[str]) -> Evaluation:
    """Evaluates COCO results, or a folder of OpenPose files, on the evaluation split of an experiment.

    Prints what is missing in OpenPose files.

    Args:
      path: file of COCO results, or folder of OpenPose files.
      experiment: experiment that names the data set.
      overrides: KEY=VALUE changes of its configuration.

    Raises:
      UserError: a file is missing, damaged or does not fit the data set, or the experiment has no such data set.
    """
    config = read_experiment(experiment, overrides)
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; check the path of --results")
    source, keypoint_set = annotated_evaluation_source(config)
    truth = source.ground_truth()
    if path.is_dir():
        found = openpose_results.read_results(path, truth["images"], keypoint_set)
        _print_coverage(found, len(truth["images"]), keypoint_set)
        results = found.results
    else:
        results = read_results(path, truth, len(keypoint_set))
    return with_openpose(score(results, truth, keypoint_set), truth, keypoint_set)


def _print_coverage(found: OpenPoseResults, images: int, keypoint_set: KeypointSet) -> None:
    """Prints how many keypoints OpenPose can find, and warns of images without file and files without image."""
    count = len(keypoint_set)
    if found.found is None:
        print("OpenPose found no person in these files")
    else:
        never = [name for name in keypoint_set.names if name not in found.found]
        which = f"; never: {', '.join(never)}" if never else ""
        print(f"OpenPose finds {count - len(never)} of {count} keypoints{which}")
    if found.images_without_file:
        print(f"warning: {found.images_without_file} of {images} images have no OpenPose file and count as images "
              "without detection", file=sys.stderr)  # fmt: skip
    if found.unmatched:
        named = ", ".join(found.unmatched[:NAMED]) + (", …" if len(found.unmatched) > NAMED else "")
        print(f"warning: ignored files that match no image ({len(found.unmatched)}): {named}", file=sys.stderr)


def write(evaluation: Evaluation, out: pathlib.Path) -> None:
    """Writes the metrics of an evaluation to metrics.json and its COCO results to results.json in the folder `out`."""
    metrics: dict[str, object] = {"metrics": evaluation.metrics, "keypoints": evaluation.keypoints}
    if evaluation.openpose:
        metrics["openpose"] = evaluation.openpose._asdict()
    try:
        io.write_json(out / "metrics.json", metrics, indent=2)
        io.write_json(out / "results.json", evaluation.results)
    except OSError as error:
        raise UserError(f"{out}: cannot write ({error.strerror}); give another --out") from None


def main(arguments: argparse.Namespace) -> None:
    """Evaluates what a command line names; prints its metrics and writes them with its COCO results."""
    logging.getLogger("absl").setLevel(logging.ERROR)  # hides the progress messages of libraries
    compilation.enable_compilation_cache()
    source, out = arguments.checkpoint or arguments.results, arguments.out
    if arguments.results:
        if out and source.resolve() == (out / "results.json").resolve():
            raise UserError(f"{out}: its results.json is the file to score; give another --out")
        step, evaluation = None, evaluate_results(source, arguments.config, arguments.overrides)
    else:
        step, evaluation = evaluate(source, arguments.config, arguments.overrides, arguments.which)
    if out or step is not None:
        write(evaluation, out or source)
    if evaluation.reoriented:
        print(f"{evaluation.reoriented} images were rotated by their EXIF orientation, as their annotations state")
    rows = {source.resolve().name if step is None else f"step {step}": evaluation.metrics}
    if evaluation.openpose:
        rows[f"{len(evaluation.openpose.keypoints)} keypoints that OpenPose has"] = evaluation.openpose.metrics
    print(table(rows, METRICS))
    print(table(rows, [name for name in evaluation.metrics if name not in METRICS]))
    print(table(evaluation.keypoints, list(next(iter(evaluation.keypoints.values())))))


if __name__ == "__main__":
    cli.run(parser, main, sys.argv[1:])
