"""The weights behind the reference vectors, drawn from their names instead of stored, and weight manifests.

`aggpose_jax.benchmarks.accelerator.vectors` loads this file too.
"""

import json
import pathlib
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aggpose_jax import networks
from aggpose_jax.networks import aggpose
from aggpose_jax.weights.state_dicts import from_tensors, to_tensors

REFERENCE = pathlib.Path(__file__).parent / "reference"
MANIFESTS = pathlib.Path(__file__).parents[1] / "third_party" / "manifests"


def named_weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the weight of a name, drawn like those of the implementation that made the reference vectors."""
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if name.endswith("relative_position_index"):
        return position_index()
    if name.endswith("pos_embedding"):
        tokens, channels = max(shape[:2]), shape[2]
        return positions(*{3072: (64, 48), 256: (16, 16)}[tokens], channels).reshape(shape)
    z = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    if name.endswith(("bias", "running_mean")):
        return np.float32(0.1) * z
    if name.endswith("running_var"):
        return 1 + np.float32(0.1) * abs(z)
    if len(shape) == 1:
        return 1 + np.float32(0.1) * z
    return (z / np.sqrt(np.float64(np.prod(shape[1:])))).astype(np.float32)  # Division in float64 rounds only once.


def position_index() -> np.ndarray:
    """Returns the row in a table of relative positions for each query and key of a window of 7 × 7."""
    cells = [(row, column) for row in range(7) for column in range(7)]
    return np.array([[(r - i + 6) * 13 + c - j + 6 for i, j in cells] for r, c in cells], np.int64)


def positions(height: int, width: int, channels: int) -> np.ndarray:
    """Returns the sine positions of a map, [height · width, channels]."""
    half = channels // 2
    rows, columns = np.divmod(np.arange(height * width), width)
    table = np.empty((height * width, channels))
    for offset, place, count in ((0, rows + 1, height), (half, columns + 1, width)):
        for i in range(half):
            angle = 2 * np.pi * place / (count + 1e-6) / 10000 ** (2 * (i // 2) / half)
            table[:, offset + i] = np.cos(angle) if i % 2 else np.sin(angle)
    return table.astype(np.float32)


def manifest(name: str) -> dict[str, tuple[int, ...]]:
    """Returns the shapes in a published state dict, by the name of the tensor."""
    shapes = json.loads((MANIFESTS / f"state_dict_{name}.json").read_text())
    return {key: tuple(shape) for key, shape in shapes.items()}


def read_aggpose(name: str) -> dict[str, np.ndarray]:
    """Returns the reference vectors of a variant of AggPose."""
    with np.load(REFERENCE / f"aggpose_{name}.npz") as arrays:
        return dict(arrays)


def aggpose_network(name: str, reference: dict[str, np.ndarray], **fields: Any) -> tuple:
    """Returns the network of a reference of AggPose, its weight table and its parameters."""
    first = [int(depth) for depth in reference["depths"]]
    depths = tuple((depth, *[first[0]] * (3 - i)) for i, depth in enumerate(first))
    model = networks.build(f"aggpose_{name}", keypoints=int(reference["num_joints"]), depths=depths, **fields)
    table = aggpose.table(model)
    blank = jax.tree.map(lambda a: np.broadcast_to(np.float32(0), a.shape), abstract_params(model))
    tensors = {key: named_weight(key, a.shape) for key, a in to_tensors(table, {"params": blank}).items()}
    return model, table, from_tensors(table, tensors, {"params": blank})["params"]


def aggpose_image(reference: dict[str, np.ndarray]) -> np.ndarray:
    """Returns the images [B, H, W, 3] of a reference of AggPose, which stores them if they are small."""
    image = reference.get("image_nchw")
    if image is None:
        image = np.random.default_rng(7).standard_normal((1, 3, 256, 192)).astype(np.float32)
    return image.transpose(0, 2, 3, 1)


def abstract_params(model: Any, size: tuple[int, int] = (64, 64)) -> Any:
    """Returns the shapes of the parameters of a network."""
    return jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *size, 3))))["params"]
