"""Trains a task: python -m aggpose_jax.main --config configs/infant_l.py [--config.key=value …] [--workdir DIR]."""

import pathlib

from absl import flags, logging

from aggpose_jax import cli
from aggpose_jax.config import Config, read_experiment
from aggpose_jax.errors import UserError
from aggpose_jax.runtime import compilation, distributed
from aggpose_jax.training import loop
from aggpose_jax.training.reporting import table
from aggpose_jax.training.seeds import parse_seeds, train_seeds
from aggpose_jax.training.tasks import task_class

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run; runs/EXPERIMENT by default. Resumes what it holds.")
SEEDS = flags.DEFINE_list("seeds", None, "Such as 0,1,2: trains each in WORKDIR/seed_N, prints mean and deviation.")
COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, of several that train together.")
PROCESSES = flags.DEFINE_integer("processes", None, "How many processes train together; 1 looks for no others.")
PROCESS = flags.DEFINE_integer("process", None, "Index of this process, from 0.")


def main(_):
    """Trains, then prints the metrics of the trained network."""
    logging.set_verbosity(logging.FATAL)  # what the libraries say of themselves; errors are raised, and ours is printed
    compilation.enable_compilation_cache()
    distributed.join(COORDINATOR.value, PROCESSES.value, PROCESS.value)
    with distributed.leaving_at_once():
        config = read_experiment(cli.CONFIG.value, cli.OVERRIDES.value)
        metrics, workdir = train(config)
    if distributed.is_primary():
        print_end(task_class(config), metrics, workdir)


def train(config: Config) -> tuple[dict[str, dict[str, float]], pathlib.Path]:
    """Trains one run or several seeds; returns the rows of the table and the folder of a run."""
    if WORKDIR.value and "://" in WORKDIR.value:
        raise UserError(f"--workdir: {WORKDIR.value} is no folder; mount the bucket and give that folder")
    workdir = pathlib.Path(WORKDIR.value) if WORKDIR.value else default_workdir(cli.CONFIG.value)
    if SEEDS.value is None:
        return {name: evaluation.metrics for name, evaluation in loop.train(config, workdir).items()}, workdir
    seeds = parse_seeds(SEEDS.value)
    return train_seeds(config, workdir, seeds), workdir / f"seed_{seeds[0]}"


def default_workdir(experiment: str) -> pathlib.Path:
    """runs/coco_l_s_debug for configs/coco_l.py:s,debug."""
    path, *argument = experiment.split(":", 1)
    return pathlib.Path("runs", "_".join([pathlib.Path(path).stem, *argument]).replace(",", "_"))


def print_end(task: type, metrics: dict[str, dict[str, float]], workdir: pathlib.Path) -> None:
    """Prints the metrics and what can be done next."""
    print(table(metrics, task.columns), flush=True)
    go_on = ("go on", "the same command; with --config.steps=N until step N")
    for purpose, command in (go_on, *task.afterwards):
        print(f"{purpose:<10}{command.format(workdir=workdir)}", flush=True)


if __name__ == "__main__":
    cli.restart_with_huge_pages()
    cli.run(main)
