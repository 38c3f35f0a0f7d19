"""Scores a checkpoint: python -m aggpose_jax.evaluate --checkpoint RUN [--config.key=value …] [--out DIR]."""

import pathlib
from collections.abc import Sequence

import jax
from absl import flags, logging

from aggpose_jax import cli, io
from aggpose_jax.errors import UserError
from aggpose_jax.estimation.evaluation import Evaluation
from aggpose_jax.estimation.restore import restore
from aggpose_jax.pose.metrics import METRICS
from aggpose_jax.runtime import compilation, sharding
from aggpose_jax.training.reporting import table
from aggpose_jax.training.tasks import make_task

CHECKPOINT = flags.DEFINE_string("checkpoint", None, "Folder of a run, or a weight file with a --config.")
WHICH = flags.DEFINE_enum("which", "best", ["best", "latest"], "Checkpoint of the run: the best, or the latest.")
OUT = flags.DEFINE_string("out", None, "Folder for metrics.json and results.json (COCO format); by default the run's.")


def evaluate(
    source: pathlib.Path, experiment: str | None, overrides: Sequence[str], which: str
) -> tuple[int | None, Evaluation]:
    """Scores a checkpoint of a run, or a weight file, with keys of the configuration replaced (KEY=VALUE).

    Returns:
      The step of the checkpoint, None for a weight file, and the evaluation.
    """
    config, _, variables, step = restore(source, experiment, overrides, which)
    task = make_task(config)
    mesh = sharding.make_mesh(config.mesh.fsdp)
    return step, task.evaluate(jax.device_put(variables, sharding.replicated(mesh)), mesh)


def write(evaluation: Evaluation, out: pathlib.Path) -> None:
    """Writes metrics.json and results.json."""
    metrics = {"metrics": evaluation.metrics, "keypoints": evaluation.keypoints}
    try:
        io.write_json(out / "metrics.json", metrics, indent=2)
        io.write_json(out / "results.json", evaluation.results)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}); give another --out") from None


def main(_):
    """Prints the metrics of a checkpoint and writes them with its results."""
    logging.set_verbosity(logging.ERROR)  # the libraries' own progress
    compilation.enable_compilation_cache()
    source = pathlib.Path(CHECKPOINT.value)
    step, evaluation = evaluate(source, cli.CONFIG.value, cli.OVERRIDES.value, WHICH.value)
    if OUT.value or source.is_dir():
        write(evaluation, pathlib.Path(OUT.value or source))
    print(table({source.name if step is None else f"step {step}": evaluation.metrics}, METRICS))
    rest = [name for name in evaluation.metrics if name not in METRICS]
    print(table({"": evaluation.metrics}, rest))
    print(table(evaluation.keypoints, list(next(iter(evaluation.keypoints.values())))))


if __name__ == "__main__":
    flags.mark_flag_as_required("checkpoint")
    cli.run(main)
