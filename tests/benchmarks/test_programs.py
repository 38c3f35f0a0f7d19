"""The costs of a program whose operations are counted by hand."""

import jax
import numpy as np

from aggpose_jax.benchmarks.programs import compile_program, is_out_of_memory


def test_costs_of_a_matrix_product():
    a, b = np.ones((8, 16), np.float32), np.ones((16, 4), np.float32)
    program, cost = compile_program(lambda a, b: a @ b, a, b)
    np.testing.assert_array_equal(program(a, b), np.full((8, 4), 16))
    assert cost.operations == 2 * 8 * 16 * 4
    assert cost.memory >= 4 * (8 * 16 + 16 * 4 + 8 * 4)
    assert cost.traffic >= 4 * (8 * 16 + 16 * 4 + 8 * 4)
    assert cost.compile_seconds > 0


def test_the_errors_of_a_full_memory_are_recognised():
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes"))
    assert not is_out_of_memory(jax.errors.JaxRuntimeError("INTERNAL: other"))
