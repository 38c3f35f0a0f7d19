"""Arrays that a program on CPU computes once and keeps in memory, instead of once for each of their uses.

XLA fuses elementwise operations with whatever reads their result. If several operations do, each computes the same
again, and one that reads an array in another order, such as the product that gives a kernel gradient, computes it with
strided writes. On CPU that made training steps up to twice as long. `lax.optimization_barrier` marks what should be
kept, but XLA on CPU removes such barriers before it fuses, unless that pass is turned off, as `jit` does.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax

CPU_OPTIONS = {"xla_disable_hlo_passes": "cse_barrier_expander"}  # the name of the pass in XLA


def materialise(x: jax.Array) -> jax.Array:
    """Returns x, which a program on CPU that `jit` compiles keeps in memory. Other platforms fuse as they like."""
    return lax.platform_dependent(x, cpu=lax.optimization_barrier, default=lambda x: x)


def jit(function: Callable, **options: Any) -> Any:
    """Returns `jax.jit` of a function, compiled so that `materialise` has an effect; `options` are those of it.

    On CPU the result cannot be called within another jitted function, because JAX allows these options only outermost.
    """
    compiler_options = CPU_OPTIONS if jax.default_backend() == "cpu" else None
    return jax.jit(function, compiler_options=compiler_options, **options)
