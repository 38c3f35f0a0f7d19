"""The program `aggpose evaluate`: computes the metrics of a run or a weight file."""

import argparse
import logging
import pathlib
import sys
from collections.abc import Sequence

import jax

from aggpose_jax import cli, io
from aggpose_jax.errors import UserError
from aggpose_jax.estimation.evaluation import Evaluation
from aggpose_jax.estimation.restore import restore
from aggpose_jax.pose.metrics import METRICS
from aggpose_jax.runtime import compilation, sharding
from aggpose_jax.training.reporting import table
from aggpose_jax.training.tasks import make_task


def parser() -> cli.Parser:
    """Returns the parser of this program."""
    parser = cli.Parser(
        cli.command("evaluate"),
        "Computes AP, AR, OKS percentiles and PCK of a run or a weight file; prints them and writes them to a folder.",
        [
            "--checkpoint runs/infant_l --config.eval_split=test",
            "--checkpoint aggpose_l.safetensors --config coco_l --out scores",
        ],
    )
    parser.add_checkpoint()
    parser.add_argument("--which", choices=["best", "latest"], default="best", help="checkpoint of the run (best)")
    group = parser.add_argument_group("output")
    group.add_argument(
        "--out",
        type=cli.path,
        metavar="DIR",
        help="folder for metrics.json and results.json (COCO); by default the run's",
    )
    return parser


def evaluate(
    source: pathlib.Path, experiment: str | None, overrides: Sequence[str], which: str
) -> tuple[int | None, Evaluation]:
    """Evaluates a checkpoint of a run, or a weight file, after overriding keys of the configuration (KEY=VALUE).

    Returns:
      The step of the checkpoint, or None for a weight file, and the evaluation.
    """
    config, _, variables, step = restore(source, experiment, overrides, which)
    task = make_task(config)
    mesh = sharding.make_mesh(config.mesh.fsdp)
    return step, task.evaluate(jax.device_put(variables, sharding.replicated(mesh)), mesh)


def write(evaluation: Evaluation, out: pathlib.Path) -> None:
    """Writes the metrics of an evaluation to metrics.json and its COCO results to results.json in the folder `out`."""
    metrics = {"metrics": evaluation.metrics, "keypoints": evaluation.keypoints}
    try:
        io.write_json(out / "metrics.json", metrics, indent=2)
        io.write_json(out / "results.json", evaluation.results)
    except OSError as error:
        raise UserError(f"{out}: cannot write ({error.strerror}); give another --out") from None


def main(arguments: argparse.Namespace) -> None:
    """Evaluates the run or weight file of a command line; prints its metrics and writes them with its COCO results."""
    logging.getLogger("absl").setLevel(logging.ERROR)  # hides the progress messages of libraries
    compilation.enable_compilation_cache()
    source = arguments.checkpoint
    step, evaluation = evaluate(source, arguments.config, arguments.overrides, arguments.which)
    if arguments.out or step is not None:
        write(evaluation, arguments.out or source)
    if evaluation.reoriented:
        print(f"{evaluation.reoriented} images were rotated by their EXIF orientation, as their annotations state")
    print(table({source.name if step is None else f"step {step}": evaluation.metrics}, METRICS))
    rest = [name for name in evaluation.metrics if name not in METRICS]
    print(table({"": evaluation.metrics}, rest))
    print(table(evaluation.keypoints, list(next(iter(evaluation.keypoints.values())))))


if __name__ == "__main__":
    cli.run(parser, main, sys.argv[1:])
