"""The program `aggpose train`: trains a pose network or a masked autoencoder as an experiment describes it."""

import argparse
import logging
import pathlib
import sys

from aggpose_jax import cli
from aggpose_jax.config import Config, read_experiment
from aggpose_jax.errors import UserError
from aggpose_jax.runtime import compilation, distributed
from aggpose_jax.training import loop
from aggpose_jax.training.mae_task import MaeTask
from aggpose_jax.training.pose_task import PoseTask
from aggpose_jax.training.reporting import table
from aggpose_jax.training.seeds import parse_seeds, train_seeds
from aggpose_jax.training.tasks import task_class


def parser() -> cli.Parser:
    """Returns the parser of this program."""
    parser = cli.Parser(
        cli.command("train"),
        "Trains a pose network or a masked autoencoder. Rerunning the same command resumes from the latest checkpoint.",
        ["--config synthetic", "--config infant_l --config.data_dir=data/infant_pose --workdir runs/infant_l"],
    )
    parser.add_experiment(
        "experiment: a name such as infant_l, or a file; an argument follows a colon, as in infant_l:s",
        required=True,
    )
    group = parser.add_argument_group("run")
    group.add_argument("--workdir", metavar="DIR", help="folder of the run; by default runs/EXPERIMENT")
    group.add_argument(
        "--seeds",
        metavar="0,1,…",
        help="train once for each seed in WORKDIR/seed_N and print mean and standard deviation",
    )
    group = parser.add_argument_group("several processes", "Found automatically on TPU pods, SLURM and Kubernetes.")
    group.add_argument("--coordinator", metavar="HOST:PORT", help="address of process 0")
    group.add_argument("--processes", type=int, metavar="COUNT", help="number of processes; 1 looks for no others")
    group.add_argument("--process", type=int, metavar="INDEX", help="index of this process, from 0")
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Trains, then prints the metrics of the trained network."""
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # hides messages of libraries; errors are raised all the same
    compilation.enable_compilation_cache()
    distributed.connect(arguments.coordinator, arguments.processes, arguments.process)
    with distributed.exit_on_error():
        config = read_experiment(arguments.config, arguments.overrides)
        metrics, workdir = train(config, arguments)
    if distributed.is_primary():
        print_end(task_class(config), metrics, workdir)


def train(config: Config, arguments: argparse.Namespace) -> tuple[dict[str, dict[str, float]], pathlib.Path]:
    """Trains one run, or one for each of --seeds.

    Returns:
      The rows of the table of metrics by name, with mean and deviation over several seeds, and the folder of the first
      run.
    """
    if arguments.workdir and "://" in arguments.workdir:
        raise UserError(f"--workdir: {arguments.workdir} is not a folder; mount the bucket and give that folder")
    workdir = cli.path(arguments.workdir) if arguments.workdir else default_workdir(arguments.config)
    if arguments.seeds is None:
        return {name: evaluation.metrics for name, evaluation in loop.train(config, workdir).items()}, workdir
    seeds = parse_seeds(arguments.seeds.split(","))
    return train_seeds(config, workdir, seeds), workdir / f"seed_{seeds[0]}"


def default_workdir(experiment: str) -> pathlib.Path:
    """Returns the folder of a run without --workdir, such as runs/coco_l_s_debug for configs/coco_l.py:s,debug."""
    path, *argument = experiment.split(":", 1)
    return pathlib.Path("runs", "_".join([pathlib.Path(path).stem, *argument]).replace(",", "_"))


def print_end(
    task: type[PoseTask] | type[MaeTask], metrics: dict[str, dict[str, float]], workdir: pathlib.Path
) -> None:
    """Prints the metrics of a trained network, and commands with which to resume, evaluate or use its run."""
    columns = [name for name in task.columns if any(name in row for row in metrics.values())]
    print(table(metrics, columns), flush=True)
    print(f"{'resume':<10}rerun the same command; --config.steps=N trains until step N", flush=True)
    for purpose, verb, options in task.next_commands:
        print(f"{purpose:<10}{cli.command(verb)} {options.format(workdir=workdir)}", flush=True)


if __name__ == "__main__":
    cli.restart_with_huge_pages()
    cli.run(parser, main, sys.argv[1:])
