"""The limits of a machine, which measured programs are compared with: its matrix products and its memory traffic."""

import dataclasses
import functools
import os
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

CPU_SIZE, ACCELERATOR_SIZE = 3072, 8192  # rows and columns of the matrices
COPIED, ACCELERATOR_COPIED = 1 << 28, 1 << 30  # bytes of the array that is copied, which no cache holds
DTYPES = ("float32", "bfloat16")
ROUNDS = 5


@dataclasses.dataclass(frozen=True)
class Machine:
    """What the first device can do.

    Attributes:
      device: its name.
      cores: number of cores of the host that this process may use.
      matrix: floating point operations per second of a product of large square matrices, by dtype.
      copy: bytes per second that an elementwise operation on a large array reads and writes.
    """

    device: str
    cores: int
    matrix: dict[str, float]
    copy: float

    def describe(self) -> str:
        """Returns the limits as a line of text."""
        rates = ", ".join(f"{dtype} {rate / 1e9:.0f} GFLOP/s" for dtype, rate in self.matrix.items())
        return f"{self.device}, {self.cores} cores: matrix products {rates}; copy {self.copy / 1e9:.1f} GB/s"


def measure(size: int | None = None, copied: int | None = None) -> Machine:
    """Measures the limits of the first device.

    Args:
      size: rows and columns of the matrices; None takes a size at which the rate no longer depends on it.
      copied: bytes of the array that is copied; None takes one that no cache holds.
    """
    device = jax.devices()[0]
    matrix = {dtype: matrix_rate(dtype, size) for dtype in DTYPES}
    copied = copied or (COPIED if device.platform == "cpu" else ACCELERATOR_COPIED)
    array = jnp.ones(copied // 4, jnp.float32)
    copy = 2 * array.nbytes / _seconds(jax.jit(lambda x: x + 1), array)
    return Machine(device.device_kind, len(os.sched_getaffinity(0)), matrix, copy)


def matrix_rate(dtype: str, size: int | None = None, precision: str | None = None) -> float:
    """Returns the floating point operations per second of a product of large square matrices on the first device.

    Args:
      dtype: type of the matrices.
      size: their rows and columns; None takes a size at which the rate no longer depends on it.
      precision: matmul precision of JAX, such as "highest"; None is its default.
    """
    size = size or (CPU_SIZE if jax.default_backend() == "cpu" else ACCELERATOR_SIZE)
    square = jnp.ones((size, size), dtype)
    product = jax.jit(functools.partial(jnp.matmul, precision=precision))
    return 2 * size**3 / _seconds(product, square, square)


def _seconds(function: Callable, *arguments: jax.Array) -> float:
    jax.block_until_ready(function(*arguments))
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - start)
    return statistics.median(times)
