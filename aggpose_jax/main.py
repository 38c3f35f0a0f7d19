"""Trains a task: python -m aggpose_jax.main --config configs/infant_l.py [--config.key=value …] [--workdir DIR]."""

import pathlib

from absl import app, flags, logging
from ml_collections import config_flags

from aggpose_jax.errors import reports_user_errors
from aggpose_jax.pose.metrics import FIGURES
from aggpose_jax.training import loop
from aggpose_jax.training.reporting import table

CONFIG = config_flags.DEFINE_config_file("config", None, "Experiment: FILE or FILE:ARGUMENT.", lock_config=True)
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run; runs/EXPERIMENT by default. Resumes what it holds.")


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
    flags.mark_flag_as_required("config")
    app.run(main)
