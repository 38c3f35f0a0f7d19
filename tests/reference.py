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
