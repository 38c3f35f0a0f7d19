"""The program `aggpose convert`: converts weights from and to PyTorch, ONNX and StableHLO, and checks them."""

import argparse
import logging
import pathlib
import sys

import jax
import numpy as np

from aggpose_jax import cli, networks
from aggpose_jax.config import read_experiment
from aggpose_jax.errors import UserError
from aggpose_jax.estimation.restore import Restored, fit, read_weights, restore
from aggpose_jax.training import checkpoint
from aggpose_jax.training.tasks import make_task
from aggpose_jax.training.workdir import open_workdir
from aggpose_jax.weights import export, weight_files
from aggpose_jax.weights.state_dicts import Weights, write_state_dict


def from_torch(arguments: argparse.Namespace) -> None:
    """Converts PyTorch weights to a run: a configuration and a checkpoint."""
    workdir, file = arguments.workdir, arguments.file
    if (workdir / checkpoint.FOLDER).exists():
        raise UserError(f"{workdir}: already holds a run; give another --workdir")
    config = read_experiment(arguments.config, arguments.overrides)
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
    print(f"start training from them: {cli.command('train')} --config … --config.init_from={workdir}")


def to_torch(arguments: argparse.Namespace) -> None:
    """Converts the weights of a run to a PyTorch state dict (.safetensors or .pth)."""
    run = _restore(arguments)
    tensors = write_state_dict(run.model.network, run.variables, arguments.form)
    weight_files.write(arguments.file, tensors)
    print(f"{arguments.file}: {len(tensors):,} tensors of {run.config.model.name}")


def check(arguments: argparse.Namespace) -> None:
    """Compares the heatmaps of a weight file or a run with expected ones."""
    file = arguments.file
    config, model, variables, _ = restore(file, arguments.config, arguments.overrides)
    network = networks.find(config.model.name)
    stride = network.stride
    images, expected = _read_array(arguments.input), _read_array(arguments.expect)
    if images.ndim != 4 or images.shape[1] != 3 or any(side % stride for side in images.shape[2:]):
        raise UserError(
            f"{arguments.input}: {images.shape} is not [N, 3, H, W] with H and W divisible by {stride}; give such ones"
        )
    if network.input_size and images.shape[2:] != network.input_size(model.network):
        height, width = network.input_size(model.network)
        raise UserError(
            f"{arguments.input}: {images.shape} is not [N, 3, {height}, {width}], which the network requires"
        )
    shape = (len(images), len(model.keypoint_set), *(side // 4 for side in images.shape[2:]))
    if expected.shape != shape:
        raise UserError(f"{arguments.expect}: has shape {expected.shape}; give the heatmaps of --input, {shape}")
    with jax.default_matmul_precision("highest"):
        heatmaps = np.asarray(jax.jit(export.channels_first(model.network, variables))(images.astype(np.float32)))
    difference = heatmaps - expected
    relative = np.linalg.norm(difference) / np.linalg.norm(expected)
    print(f"‖Δ‖/‖expected‖ {relative:.2e}, largest difference {np.abs(difference).max():.2e}")
    if not relative <= arguments.tolerance:
        raise UserError(
            f"{file}: its heatmaps differ from the expected ones in {arguments.expect} by {relative:.2e} "
            f"(‖Δ‖/‖expected‖), more than --tolerance {arguments.tolerance:.0e}; check that {arguments.expect} was "
            f"computed with the same weights from {arguments.input}"
        )


def to_onnx(arguments: argparse.Namespace) -> None:
    """Exports the network of a run with its weights as an ONNX model."""
    _export(arguments, export.to_onnx)


def to_stablehlo(arguments: argparse.Namespace) -> None:
    """Exports the network of a run with its weights as a StableHLO program."""
    _export(arguments, export.to_stablehlo)


def _export(arguments: argparse.Namespace, exporter) -> None:
    run = _restore(arguments)
    size = run.model.codec.input_size
    program = exporter(run.model.network, run.variables, size)
    weight_files.write_atomically(arguments.file, program)
    print(f"{arguments.file}: {len(program) / 1e6:.1f} MB, images [N, 3, {', '.join(map(str, size))}], normalised")


def _restore(arguments: argparse.Namespace) -> Restored:
    return restore(arguments.checkpoint, arguments.config, arguments.overrides, arguments.which)


def _read_array(path: pathlib.Path) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: cannot be read as an .npy array ({error}); check the file") from None
    if not isinstance(array, np.ndarray):
        raise UserError(f"{path}: holds several arrays; give an .npy file of one")
    return array


def parser() -> cli.Parser:
    """Returns the parser of this program."""
    parser = cli.Parser(
        cli.command("convert"),
        "Converts weights from and to PyTorch, exports networks to ONNX and StableHLO, and compares heatmaps.",
        [
            "from-torch aggpose_l.pth --config coco_l --workdir runs/released_l",
            "to-onnx infant_l.onnx --checkpoint runs/infant_l",
        ],
    )
    network = "experiment with the network of the weights"

    verb = parser.add_verb(
        "from-torch",
        from_torch,
        [
            "aggpose_l.pth --config coco_l --workdir runs/released_l",
            "mit_b5.pth --config coco_mit_b5 --workdir runs/mit_b5",
        ],
    )
    verb.add_argument("file", type=cli.path, metavar="FILE", help="weight file (.safetensors or .pth)")
    verb.add_argument("--workdir", type=cli.path, required=True, metavar="DIR", help="new folder for the run")
    verb.add_experiment(network, required=True)

    verb = parser.add_verb(
        "to-torch",
        to_torch,
        ["infant_l.safetensors --checkpoint runs/infant_l", "latest.pth --checkpoint runs/infant_l --which latest"],
    )
    verb.add_argument("--form", help="naming of the tensors, for networks that are published in several namings")
    _add_export(verb)

    verb = parser.add_verb(
        "check",
        check,
        [
            "aggpose_l.pth --config coco_l --input in.npy --expect out.npy",
            "runs/coco_l --input in.npy --expect out.npy --tolerance 1e-4",
        ],
    )
    verb.add_argument("file", type=cli.path, metavar="FILE", help="weight file or folder of a run")
    verb.add_argument("--input", type=cli.path, required=True, metavar="NPY", help="normalised images [N, 3, H, W]")
    verb.add_argument("--expect", type=cli.path, required=True, metavar="NPY", help="their heatmaps [N, K, H/4, W/4]")
    verb.add_argument("--tolerance", type=float, default=1e-5, help="largest ‖Δ‖/‖expected‖ that passes (1e-5)")
    verb.add_experiment(network)

    for name, run, file in (
        ("to-onnx", to_onnx, "infant_l.onnx"),
        ("to-stablehlo", to_stablehlo, "infant_l.stablehlo"),
    ):
        examples = [f"{file} --checkpoint runs/infant_l", f"{file} --checkpoint infant_l.safetensors --config infant_l"]
        _add_export(parser.add_verb(name, run, examples))
    return parser


def _add_export(verb: cli.Parser) -> None:
    verb.add_argument("file", type=cli.path, metavar="FILE", help="file to write")
    verb.add_checkpoint()
    verb.add_argument("--which", choices=["best", "latest"], default="best", help="checkpoint of the run (best)")


def main(arguments: argparse.Namespace) -> None:
    """Runs the verb of a command line, such as from-torch."""
    logging.getLogger("absl").setLevel(logging.ERROR)  # hides the progress messages of libraries
    arguments.run(arguments)


if __name__ == "__main__":
    cli.run(parser, main, sys.argv[1:])
