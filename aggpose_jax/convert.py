"""Weights in and out, and proof that they are the same.

python -m aggpose_jax.convert from-torch FILE --config CONFIG --workdir DIR    weights become a run
python -m aggpose_jax.convert to-torch FILE --checkpoint RUN                   a run becomes weights
python -m aggpose_jax.convert check FILE --config CONFIG --input IN.npy --expect OUT.npy
python -m aggpose_jax.convert to-onnx FILE --checkpoint RUN
python -m aggpose_jax.convert to-stablehlo FILE --checkpoint RUN
"""

import pathlib

import jax
import numpy as np
from absl import flags, logging

from aggpose_jax import cli, networks
from aggpose_jax.config import read_experiment
from aggpose_jax.errors import UserError
from aggpose_jax.estimation.restore import Restored, fit, read_weights, restore
from aggpose_jax.training import checkpoint
from aggpose_jax.training.tasks import make_task
from aggpose_jax.training.workdir import open_workdir
from aggpose_jax.weights import export, weight_files
from aggpose_jax.weights.state_dicts import Weights, write_state_dict

WORKDIR = flags.DEFINE_string("workdir", None, "New folder for the weights as a run.")
CHECKPOINT = flags.DEFINE_string("checkpoint", None, "Folder of a run.")
WHICH = flags.DEFINE_enum("which", "best", ["best", "latest"], "Checkpoint of the run: the best, or the latest.")
FORM = flags.DEFINE_string("form", None, "Names of the tensors, where a network is published in several forms.")
INPUT = flags.DEFINE_string("input", None, "Normalised images [N, 3, H, W] as .npy.")
EXPECT = flags.DEFINE_string("expect", None, "The heatmaps [N, K, H/4, W/4] of these images as .npy.")
TOLERANCE = flags.DEFINE_float("tolerance", 1e-5, "Largest ‖Δ‖/‖expected‖ that passes.")


def from_torch(file: pathlib.Path) -> None:
    """Writes a workdir with a configuration and a checkpoint of the weights in a file."""
    workdir = pathlib.Path(WORKDIR.value)
    if (workdir / checkpoint.FOLDER).exists():
        raise UserError(f"{workdir}: holds a run already; give another --workdir")
    config = read_experiment(cli.CONFIG.value, cli.OVERRIDES.value)
    task, key = make_task(config), jax.random.key(0)
    target = Weights(networks.find(config.model.name), task.model, jax.eval_shape(task.init, key))
    weights = read_weights(file)
    variables, report = fit(file, target, weights)
    if report.new:
        variables, _ = fit(file, target._replace(variables=jax.jit(task.init)(key)), weights)
    open_workdir(workdir, config)
    with checkpoint.open_manager(workdir) as manager:
        checkpoint.save(manager, 0, variables)
    print(report)
    print(f"train from them: python -m aggpose_jax.main --config … --config.init_from={workdir}")


def to_torch(file: pathlib.Path) -> None:
    """Writes the weights of a run as a state dict."""
    run = _restore()
    tensors = write_state_dict(run.model.network, run.variables, FORM.value)
    weight_files.write(file, tensors)
    print(f"{file}: {len(tensors):,} tensors of {run.config.model.name}")


def check(file: pathlib.Path) -> None:
    """Compares the heatmaps of weights, in a file or a run, with expected ones."""
    config, model, variables, _ = restore(file, cli.CONFIG.value, cli.OVERRIDES.value)
    stride = networks.find(config.model.name).stride
    images, expected = _read_array(INPUT.value), _read_array(EXPECT.value)
    if images.ndim != 4 or images.shape[1] != 3 or any(side % stride for side in images.shape[2:]):
        raise UserError(f"{INPUT.value}: {images.shape} is not [N, 3, H, W] with sides that divide by {stride}")
    shape = (len(images), len(model.keypoint_set), *(side // 4 for side in images.shape[2:]))
    if expected.shape != shape:
        raise UserError(f"{EXPECT.value}: {expected.shape} where heatmaps {shape} belong")
    with jax.default_matmul_precision("highest"):
        heatmaps = np.asarray(jax.jit(export.channels_first(model.network, variables))(images.astype(np.float32)))
    difference = heatmaps - expected
    relative = np.linalg.norm(difference) / np.linalg.norm(expected)
    print(f"‖Δ‖/‖expected‖ {relative:.2e}, largest difference {np.abs(difference).max():.2e}")
    if not relative <= TOLERANCE.value:
        raise UserError(f"{file}: heatmaps differ by {relative:.2e}, more than the tolerance {TOLERANCE.value:.0e}")


def to_onnx(file: pathlib.Path) -> None:
    """Writes the network of a run with its weights as an ONNX model."""
    _export(file, export.to_onnx)


def to_stablehlo(file: pathlib.Path) -> None:
    """Writes the network of a run with its weights as a StableHLO program."""
    _export(file, export.to_stablehlo)


def _export(file: pathlib.Path, exporter) -> None:
    run = _restore()
    size = run.model.codec.input_size
    program = exporter(run.model.network, run.variables, size)
    weight_files.write_whole(file, program)
    print(f"{file}: {len(program) / 1e6:.1f} MB, images [N, 3, {', '.join(map(str, size))}], normalised")


def _restore() -> Restored:
    return restore(pathlib.Path(CHECKPOINT.value), cli.CONFIG.value, cli.OVERRIDES.value, WHICH.value)


def _read_array(path: str) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: cannot be read as an .npy array ({error})") from None
    if not isinstance(array, np.ndarray):
        raise UserError(f"{path}: holds several arrays; give an .npy file of one")
    return array


VERBS = {  # verb: (what it does, flags it needs)
    "from-torch": (from_torch, (cli.CONFIG, WORKDIR)),
    "to-torch": (to_torch, (CHECKPOINT,)),
    "check": (check, (cli.CONFIG, INPUT, EXPECT)),
    "to-onnx": (to_onnx, (CHECKPOINT,)),
    "to-stablehlo": (to_stablehlo, (CHECKPOINT,)),
}


def main(arguments):
    """Runs a verb on a file."""
    logging.set_verbosity(logging.ERROR)  # the libraries' own progress
    if len(arguments) != 3 or arguments[1] not in VERBS:
        raise UserError(f"give a verb and a file: python -m aggpose_jax.convert {{{','.join(VERBS)}}} FILE …")
    act, needed = VERBS[arguments[1]]
    missing = [f"--{flag.name}" for flag in needed if flag.value is None]
    if missing:
        raise UserError(f"{arguments[1]} needs {' and '.join(missing)}")
    act(pathlib.Path(arguments[2]))


if __name__ == "__main__":
    flags.FLAGS.set_gnu_getopt()  # flags may follow the file
    cli.run(main, words=True)
