"""The reference vectors' weights follow from their names, so none are stored."""

import json
import pathlib
import zlib

import numpy as np

REFERENCE = pathlib.Path(__file__).parent / "reference"
MANIFESTS = pathlib.Path(__file__).parents[1] / "third_party" / "manifests"


def named_weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The weight of a name, as the implementation behind the reference vectors drew it."""
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    z = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    if name.endswith(("bias", "running_mean")):
        return np.float32(0.1) * z
    if name.endswith("running_var"):
        return 1 + np.float32(0.1) * abs(z)
    if len(shape) == 1:
        return 1 + np.float32(0.1) * z
    return (z / np.sqrt(np.float64(np.prod(shape[1:])))).astype(np.float32)  # rounded once


def manifest(name: str) -> dict[str, tuple[int, ...]]:
    """The shapes of a published state dict by name."""
    shapes = json.loads((MANIFESTS / f"state_dict_{name}.json").read_text())
    return {key: tuple(shape) for key, shape in shapes.items()}
