"""The arrays that a training step communicates between devices."""

import json
import math
import pathlib

import pytest
from collectives import unexpected
from programs import run

from aggpose_jax.runtime import sharding

SCRIPT = str(pathlib.Path(__file__).parent / "collectives.py")


def test_list_collectives_reads_operations_and_shapes():
    program = """
      %all-reduce.1 = (f32[3,3,64]{2,1,0}, f32[]) all-reduce(%a, %b), channel_id=1
      %x = f32[8,4]{1,0} add(%y, %z)
      ROOT %all-gather-start.2 = f32[16]{0} all-gather-start(%c), dimensions={0}
    """
    assert sharding.list_collectives(program) == [
        ("all-reduce", (3, 3, 64)),
        ("all-reduce", ()),
        ("all-gather", (16,)),
    ]


def test_a_collective_is_unexpected_unless_it_has_the_size_of_an_array_or_is_a_scalar():
    found = [("all-reduce", (4, 3)), ("all-reduce", ()), ("all-gather", (1, 12)), ("all-to-all", (16, 3))]
    assert unexpected(found, [(3, 4), (5,)]) == [("all-to-all", (16, 3))]


@pytest.mark.slow
@pytest.mark.parametrize(("experiment", "numbers"), [("synthetic", (1,)), ("mae_synthetic", (1, 8))])
def test_a_step_communicates_no_activations(experiment, numbers):
    ended = run(SCRIPT, experiment, *map(str, numbers), devices=8)
    assert ended.returncode == 0, ended.stderr
    for fsdp, line in zip(numbers, ended.stdout.splitlines(), strict=True):
        step = json.loads(line)
        found = step["collectives"]
        assert {op for op, _ in found} == ({"all-reduce"} if fsdp == 1 else {"all-reduce", "all-gather"})
        assert not unexpected(found, step["params"])
        assert sum(math.prod(shape) for _, shape in found) >= sum(math.prod(shape) for shape in step["params"])
