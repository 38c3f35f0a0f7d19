"""Counts the multiply-adds of a function in its jaxpr, without compiling or running it."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend import core


def count(function: Callable, *args) -> tuple[int, int]:
    """Returns the multiply-adds of matrix products and convolutions in a call of a function, which may be jitted.

    Returns:
      The total, and the number in matrix products with batch dimensions, which are those of attention.
    """
    jitted: Any = function if hasattr(function, "trace") else jax.jit(function)
    return _of_jaxpr(jitted.trace(*args).jaxpr.jaxpr)


def _of_jaxpr(jaxpr: core.Jaxpr) -> tuple[int, int]:
    counts = [_of_equation(equation) for equation in jaxpr.eqns]
    return sum(a for a, _ in counts), sum(b for _, b in counts)


def _of_equation(equation) -> tuple[int, int]:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), (batch, _) = params["dimension_numbers"]
        size = math.prod(equation.outvars[0].aval.shape)
        macs = size * math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
        return macs, macs if batch else 0
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape  # Its input axis has the channels of one group only.
        outputs = kernel[params["dimension_numbers"].rhs_spec[0]]
        return math.prod(equation.outvars[0].aval.shape) * math.prod(kernel) // outputs, 0
    inner = [_of_jaxpr(jaxpr) for value in params.values() for jaxpr in _jaxprs(value)]
    if name == "cond":  # The branches are the forms for several platforms. Convolutions count, shifted sums do not.
        return max(inner)
    times = params["length"] if name == "scan" else 1
    return times * sum(a for a, _ in inner), times * sum(b for _, b in inner)


def _jaxprs(value) -> Iterator[core.Jaxpr]:
    """Yields the jaxprs in a parameter of an equation."""
    if isinstance(value, core.ClosedJaxpr):
        yield value.jaxpr
    elif isinstance(value, core.Jaxpr):
        yield value
    elif isinstance(value, (tuple, list)):
        for element in value:
            yield from _jaxprs(element)
