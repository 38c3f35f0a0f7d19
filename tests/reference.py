"""The weights behind the reference vectors, drawn from their names instead of stored, and weight manifests."""

import json
import pathlib
import zlib

import numpy as np

REFERENCE = pathlib.Path(__file__).parent / "reference"
MANIFESTS = pathlib.Path(__file__).parents[1] / "third_party" / "manifests"


def named_weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the weight of a name, drawn like those of the implementation that made the reference vectors."""
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    z = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    if name.endswith(("bias", "running_mean")):
        return np.float32(0.1) * z
    if name.endswith("running_var"):
        return 1 + np.float32(0.1) * abs(z)
    if len(shape) == 1:
        return 1 + np.float32(0.1) * z
    return (z / np.sqrt(np.float64(np.prod(shape[1:])))).astype(np.float32)  # Division in float64 rounds only once.


def manifest(name: str) -> dict[str, tuple[int, ...]]:
    """Returns the shapes in a published state dict, by the name of the tensor."""
    shapes = json.loads((MANIFESTS / f"state_dict_{name}.json").read_text())
    return {key: tuple(shape) for key, shape in shapes.items()}
