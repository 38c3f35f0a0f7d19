"""Compiled programs with what they cost: operations, memory traffic, memory, and the time to compile them."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from aggpose_jax.networks import barriers, multiply_adds


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one call of a compiled program needs.

    Attributes:
      operations: floating point operations of matrix products and convolutions, two for a multiply-add.
      traffic: bytes that its fused operations read and write by XLA's estimate, which counts a loop's body once.
      memory: bytes of its arguments, results and temporary arrays on a device.
      compile_seconds: time to trace and compile it.
    """

    operations: float
    traffic: float
    memory: float
    compile_seconds: float


def compile_program(function: Callable, *arguments: Any) -> tuple[Callable, Cost]:
    """Compiles a function, already jitted or not, for its arguments; returns the program and its cost."""
    jitted = function if hasattr(function, "lower") else barriers.jit(function)
    start = time.perf_counter()
    program = jitted.lower(*arguments).compile()
    seconds = time.perf_counter() - start
    operations, _ = multiply_adds.count(jitted, *arguments)
    memory = program.memory_analysis()
    sizes = (memory.argument_size_in_bytes, memory.output_size_in_bytes, memory.temp_size_in_bytes)
    analysis = program.cost_analysis() or {}
    cost = Cost(2.0 * operations, float(analysis.get("bytes accessed", 0)), float(sum(sizes)), seconds)
    return program, cost


def is_out_of_memory(error: Exception) -> bool:
    """Returns whether an exception says that a device or the host has too little memory."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)
