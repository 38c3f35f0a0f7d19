"""Initial variables of the fine-tuned networks, and changes of them that show why a start helps or does not."""

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from fine_tuning import FineTuning
from flax.traverse_util import flatten_dict, unflatten_dict

from aggpose_jax import networks
from aggpose_jax.estimation.restore import read_weights
from aggpose_jax.weights.state_dicts import Weights
from aggpose_jax.weights.transfer import transfer

Flat = dict[str, np.ndarray]
REDUCED = (1, 2, 3)  # stages whose attention reduces the sequence; in stage 4 norm1 precedes kv directly
ENCODER = "params/encoder/"


def from_weights(tuner: FineTuning, source: pathlib.Path, new: Any) -> Any:
    """Returns new variables, replaced by those of a run where the networks correspond, as `init_from` does."""
    target = Weights(networks.find(tuner.config.model.name), tuner.model.network, new)
    variables, _ = transfer(target, read_weights(source))
    return variables


def unchanged(variables: Any, new: Any, seed: int) -> Any:
    """Returns the variables."""
    return variables


def compensated(variables: Any, new: Any, seed: int) -> Any:
    """Returns variables of the same function whose kernels have the standard deviations of new ones where they can.

    The kernels of q, kv and fc1 follow a LayerNorm: they are scaled, and its scale and bias are divided. The residual
    stream of a stage, which LayerNorms read, is scaled by one factor: that of the kernels of proj and fc2 on average.
    """
    flat, fresh = _flat(variables), _flat(new)
    for stage in range(1, 5):
        blocks = f"{ENCODER}stage{stage}/blocks/"
        _scale_stream(flat, fresh, stage, blocks)
        _scale_after(flat, fresh, blocks + "norm2", [blocks + "ffn/fc1"])
        if stage in REDUCED:
            _scale_after(flat, fresh, blocks + "attention/reduce/norm", [blocks + "attention/kv"])
            _scale_after(flat, fresh, blocks + "norm1", [blocks + "attention/q", blocks + "attention/reduce"])
        else:
            _scale_after(flat, fresh, blocks + "norm1", [blocks + "attention/q", blocks + "attention/kv"])
    return unflatten_dict(flat, sep="/")


def _scale_after(flat: Flat, fresh: Flat, norm: str, layers: list[str]) -> None:
    """Scales layers by one factor, with which the first has a new one's deviation, and divides the norm before them."""
    kernel = layers[0] + "/kernel"
    factor = fresh[kernel].std() / flat[kernel].std()
    for layer in layers:
        flat[layer + "/kernel"] = flat[layer + "/kernel"] * factor
    for name in ("scale", "bias"):
        flat[f"{norm}/{name}"] = flat[f"{norm}/{name}"] / factor


def _scale_stream(flat: Flat, fresh: Flat, stage: int, blocks: str) -> None:
    """Scales all that is added to the residual stream of a stage by one factor."""
    ends = [blocks + "attention/proj", blocks + "ffn/fc2"]
    ratios = [fresh[end + "/kernel"].std() / flat[end + "/kernel"].std() for end in ends]
    factor = float(np.exp(np.mean(np.log(ratios))))
    names = [f"{end}/{name}" for end in ends for name in ("kernel", "bias")]
    for path in [*names, *(f"{ENCODER}embed{stage}/norm/{name}" for name in ("scale", "bias"))]:
        flat[path] = flat[path] * factor


def shrunk(variables: Any, new: Any, seed: int) -> Any:
    """Returns the variables with every kernel of the encoder scaled to the standard deviation of a new one."""
    flat, fresh = _flat(variables), _flat(new)
    for path in _kernels(flat):
        flat[path] = flat[path] * (fresh[path].std() / flat[path].std())
    return unflatten_dict(flat, sep="/")


def shuffled(variables: Any, new: Any, seed: int) -> Any:
    """Returns the variables with the values of every kernel of the encoder in random order, and scaled as `shrunk`."""
    flat, rng = _flat(variables), np.random.default_rng((seed, 2))
    for path in _kernels(flat):
        flat[path] = rng.permutation(flat[path].ravel()).reshape(flat[path].shape)
    return shrunk(unflatten_dict(flat, sep="/"), new, seed)


CHANGES: dict[str, Callable[[Any, Any, int], Any]] = {
    "unchanged": unchanged,
    "compensated": compensated,
    "shrunk": shrunk,
    "shuffled": shuffled,
}


def _flat(variables: Any) -> Flat:
    return {path: np.asarray(leaf) for path, leaf in flatten_dict(variables, sep="/").items()}


def _kernels(flat: Flat) -> list[str]:
    return [path for path in flat if path.startswith(ENCODER) and path.endswith("kernel")]
