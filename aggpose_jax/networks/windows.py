"""Attention inside of the windows of a map (Swin Transformer, Liu et al. 2021, §3.2; HRFormer, Yuan et al. 2021)."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from aggpose_jax.networks.weight_table import Constant, Entry

SIDE = 7  # rows and columns of a window
TABLE = "relative_position_bias_table"
table_init = nn.initializers.truncated_normal(0.02)


def split(x: jax.Array) -> jax.Array:
    """Returns the windows of a map, row by row: [B, H, W, C] → [B · H/7 · W/7, 49, C]; 7 must divide H and W."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // SIDE, SIDE, w // SIDE, SIDE, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(-1, SIDE * SIDE, c)


def join(windows: jax.Array, height: int, width: int) -> jax.Array:
    """Returns the map [B, height, width, C] whose windows are given, the inverse of `split`."""
    rows, columns, c = height // SIDE, width // SIDE, windows.shape[-1]
    x = windows.reshape(-1, rows, columns, SIDE, SIDE, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(-1, height, width, c)


def relative_position_index() -> np.ndarray:
    """Returns the row of the bias table of each query and key of a window, int64 [49, 49]."""
    row, column = np.divmod(np.arange(SIDE * SIDE), SIDE)
    rows, columns = row[:, None] - row + SIDE - 1, column[:, None] - column + SIDE - 1
    return (rows * (2 * SIDE - 1) + columns).astype(np.int64)


def relative_position_bias(table: jax.Array) -> jax.Array:
    """Returns the bias of the scores of each head, query and key, [heads, 49, 49], from a table [169, heads]."""
    return jnp.asarray(table)[relative_position_index()].transpose(2, 0, 1)


def bias_table(module: nn.Module, heads: int) -> jax.Array:
    """Returns the table of the relative position bias, float32 [169, heads], as a parameter of a module."""
    return module.param(TABLE, table_init, ((2 * SIDE - 1) ** 2, heads), jnp.float32)


def position_indices(entries: list[Entry]) -> list[Constant]:
    """Returns the relative position index that PyTorch stores beside each bias table."""
    names = [name.replace(TABLE, "relative_position_index") for e in entries for name in e.names if TABLE in name]
    return [Constant(name, relative_position_index()) for name in names]
