"""Scores a checkpoint: python -m aggpose_jax.evaluate --checkpoint RUN [--config.key=value …] [--out DIR]."""

import pathlib
from collections.abc import Sequence

import jax
from absl import flags, logging

from aggpose_jax import cli, io
from aggpose_jax.config import change, load_config
from aggpose_jax.errors import UserError
from aggpose_jax.estimation.evaluation import Evaluation
from aggpose_jax.pose.metrics import FIGURES
from aggpose_jax.runtime import compilation, sharding
from aggpose_jax.training import checkpoint
from aggpose_jax.training.reporting import table
from aggpose_jax.training.tasks import make_pose_task

CHECKPOINT = flags.DEFINE_string("checkpoint", None, "Folder of a run.")
WHICH = flags.DEFINE_enum("which", "best", ["best", "latest"], "Checkpoint of the run: the best, or the latest.")
OUT = flags.DEFINE_string("out", None, "Folder for figures.json and results.json (COCO format); the run's by default.")


def evaluate(workdir: pathlib.Path, overrides: Sequence[str], which: str) -> tuple[int, Evaluation]:
    """Scores a checkpoint of a run, with keys of its configuration replaced (KEY=VALUE).

    Returns:
      The step of the checkpoint and its evaluation.
    """
    config = change(load_config(workdir / "config.json"), overrides)
    task = make_pose_task(config)
    mesh = sharding.make_mesh(-1, config.mesh.fsdp)
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    abstract = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding.replicated(mesh)), shapes
    )
    step, variables = checkpoint.load_variables(workdir, abstract, which)
    return step, task.evaluate(variables, mesh)


def write(evaluation: Evaluation, out: pathlib.Path) -> None:
    """Writes figures.json and results.json."""
    figures = {"figures": evaluation.figures, "keypoints": evaluation.keypoints}
    try:
        io.write_json(out / "figures.json", figures, indent=2)
        io.write_json(out / "results.json", evaluation.results)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}); give another --out") from None


def main(_):
    """Prints the figures of a checkpoint and writes them with its results."""
    logging.set_verbosity(logging.ERROR)  # the libraries' own progress
    compilation.keep_programs()
    workdir = pathlib.Path(CHECKPOINT.value)
    step, evaluation = evaluate(workdir, cli.OVERRIDES.value, WHICH.value)
    write(evaluation, pathlib.Path(OUT.value or workdir))
    print(table({f"step {step}": evaluation.figures}, FIGURES))
    rest = [name for name in evaluation.figures if name not in FIGURES]
    print(table({"": evaluation.figures}, rest))
    print(table(evaluation.keypoints, list(next(iter(evaluation.keypoints.values())))))


if __name__ == "__main__":
    flags.mark_flag_as_required("checkpoint")
    cli.run(main)
