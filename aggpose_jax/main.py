"""Trains a task: python -m aggpose_jax.main --config configs/infant_l.py [--config.key=value …] [--workdir DIR]."""

import os
import pathlib
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from aggpose_jax.errors import reports_user_errors
from aggpose_jax.pose.metrics import FIGURES
from aggpose_jax.training import loop
from aggpose_jax.training.reporting import table

CONFIG = config_flags.DEFINE_config_file("config", None, "Experiment: FILE or FILE:ARGUMENT.", lock_config=True)
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run; runs/EXPERIMENT by default. Resumes what it holds.")


def restart_with_huge_pages() -> None:
    """Starts the program again with huge pages for the memory of glibc, which reads the setting only at its start.

    On CPU a training step takes and returns gigabytes; small pages make that a quarter of its time.
    """
    if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
        os.execv(sys.executable, sys.orig_argv)


@reports_user_errors
def main(_):
    """Trains, then prints the figures of the trained network."""
    logging.set_verbosity(logging.WARNING)  # the libraries' own progress; ours is printed
    experiment = pathlib.Path(config_flags.get_config_filename(flags.FLAGS["config"]).replace(":", "_"))
    workdir = pathlib.Path(WORKDIR.value or pathlib.Path("runs") / experiment.stem)
    evaluations = loop.train(CONFIG.value, workdir)
    columns = [*FIGURES, "OKS_p5", "OKS_p50", "PCK@0.1"]
    print(table({name: evaluation.figures for name, evaluation in evaluations.items()}, columns), flush=True)
    print(f"evaluate: python -m aggpose_jax.evaluate --checkpoint {workdir}")


if __name__ == "__main__":
    restart_with_huge_pages()
    flags.mark_flag_as_required("config")
    app.run(main)
