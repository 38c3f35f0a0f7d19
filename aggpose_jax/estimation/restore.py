"""Restores a pose network with its variables from a run or a weight file, for evaluation, prediction and export."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from flax import linen as nn
from flax.traverse_util import flatten_dict

from aggpose_jax import networks
from aggpose_jax.config import Config, change, load_config, read_experiment
from aggpose_jax.errors import UserError
from aggpose_jax.estimation import checkpoints, pretrained
from aggpose_jax.estimation.pose_model import PoseModel, Variables
from aggpose_jax.pose.keypoints import find_keypoint_set
from aggpose_jax.weights import weight_files
from aggpose_jax.weights.state_dicts import Weights, read_state_dict
from aggpose_jax.weights.transfer import TransferReport, transfer


class Restored(NamedTuple):
    """A trained pose network.

    Attributes:
      config: configuration of the run, or of the experiment that describes a weight file, with the overrides applied.
      model: network with its codec and keypoint set.
      variables: variables of the network as NumPy arrays.
      step: training step of the checkpoint; None for a weight file and for the weights of the package.
    """

    config: Config
    model: PoseModel
    variables: Variables
    step: int | None


def restore(
    source: pathlib.Path, experiment: str | None = None, overrides: Sequence[str] = (), which: str = "best"
) -> Restored:
    """Returns the pose network of a run or a weight file.

    Args:
      source: folder of a run, a weight file (.safetensors, .pth), or "pretrained" for the weights of the package.
      experiment: experiment that describes the network of a weight file; not used for a run, which stores its own
        configuration.
      overrides: KEY=VALUE changes of the configuration.
      which: checkpoint of a run, "best" or "latest".

    Raises:
      UserError: there is no such run or file, it is damaged, or its weights do not fit the configuration.
    """
    source = pretrained.locate(source)
    config = _config(source, experiment, overrides)
    try:
        model = PoseModel.from_config(config)
    except UserError as error:
        raise UserError(f"{source if source.is_dir() else experiment}: {error}") from None
    step, weights = _read_folder(source, which) if source.is_dir() else (None, _read_file(source))
    target = Weights(networks.find(config.model.name), model.network, model.shapes())
    variables, report = fit(source, target, weights)
    unused = flatten_dict(weights.variables, sep="/").keys() - set(report.origins.values())
    if report.new:
        raise UserError(f"{source}: weights for {', '.join(report.new)} of {config.model.name} are missing; "
                        "give the weights of a trained pose network")  # fmt: skip
    if unused:
        raise UserError(f"{source}: {config.model.name} as configured has no parameters for "
                        f"{', '.join(sorted(unused))}; give the configuration that the weights were trained "
                        "with")  # fmt: skip
    return Restored(config, model, variables, step)


def read_weights(source: pathlib.Path) -> Weights:
    """Returns the network and the variables of a run's best checkpoint, a weight file or "pretrained".

    Raises:
      UserError: there is no such run or file, it is damaged, or its network is not one of this package.
    """
    source = pretrained.locate(source)
    if not source.exists():
        raise UserError(f"{source}: no such run or weight file; check the path")
    return _read_folder(source, "best")[1] if source.is_dir() else _read_file(source)


def fit(source: pathlib.Path, target: Weights, weights: Weights) -> tuple[Variables, TransferReport]:
    """Returns variables for a target network, copied from weights with as many keypoints, and the transfer report.

    Args:
      source: file or run that the weights were read from, for error messages.
      target: the target network with its variables or their shapes, which are returned wherever nothing is copied.
      weights: network and variables of the source.

    Raises:
      UserError: the weights do not fit the target network.
    """
    try:
        variables, report = transfer(target, weights)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    if report.heads_differ:
        source_count, target_count = report.keypoints
        raise UserError(
            f"{source}: the network predicts {source_count} keypoints, but keypoint_set has {target_count}; give a "
            f"configuration with {source_count} keypoints, or train from these weights with --config.init_from, which "
            "initialises a new head"
        )
    return variables, report


def _config(source: pathlib.Path, experiment: str | None, overrides: Sequence[str]) -> Config:
    if not source.exists():
        raise UserError(f"{source}: no such run or weight file; check the path")
    if source.is_file():
        if experiment is None:
            raise UserError(f"{source}: a weight file does not describe its network; give an experiment that does with "
                            "--config, such as infant_l")  # fmt: skip
        return read_experiment(experiment, overrides)
    stored = load_config(source / "config.json")
    trained = stored.keypoint_set
    config = change(stored, overrides)
    if config.keypoint_set != trained and find_keypoint_set(config.keypoint_set) != find_keypoint_set(trained):
        raise UserError(f"{source}: the network predicts the keypoints {trained}, not {config.keypoint_set}; give a "
                        "run of that keypoint set")  # fmt: skip
    return config


def _read_file(path: pathlib.Path) -> Weights:
    tensors = weight_files.read(path)
    try:
        return read_state_dict(tensors)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _read_folder(folder: pathlib.Path, which: str) -> tuple[int | None, Weights]:
    return (None, pretrained.read()) if folder == pretrained.FOLDER else _read_run(folder, which)


def _read_run(workdir: pathlib.Path, which: str) -> tuple[int, Weights]:
    config = load_config(workdir / "config.json")
    try:
        network, module = networks.find(config.model.name), _build(config)
    except UserError as error:
        raise UserError(f"{workdir / 'config.json'}: {error}") from None
    step, variables = checkpoints.load_variables(workdir, which)
    return step, Weights(network, module, variables)


def _build(config: Config) -> nn.Module:
    if config.task == "pose":
        return PoseModel.from_config(config).network
    return networks.build(**config.model.to_dict())
