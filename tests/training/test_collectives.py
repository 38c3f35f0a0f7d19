"""The arrays that a training step communicates between devices."""

import json
import math
import pathlib
import subprocess
import sys

import pytest
from programs import environment

from aggpose_jax.runtime import sharding


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


@pytest.mark.slow
@pytest.mark.parametrize(("experiment", "fsdp"), [("synthetic", 1), ("mae_synthetic", 1), ("mae_synthetic", 8)])
def test_a_step_communicates_no_activations(experiment, fsdp):
    script = pathlib.Path(__file__).parent / "collectives.py"
    process = subprocess.run(
        [sys.executable, str(script), str(fsdp), experiment],
        **{"env": environment(8), "text": True, "capture_output": True, "check": True},
    )
    step = json.loads(process.stdout.splitlines()[-1])
    sizes = {math.prod(shape) for shape in step["params"]}
    # Sizes are compared, since a scanned stage of one block may lose its stacked axis and gradients may be transposed.
    others = [(op, shape) for op, shape in step["collectives"] if math.prod(shape) not in sizes | {1}]
    assert {op for op, _ in step["collectives"]} == ({"all-reduce"} if fsdp == 1 else {"all-reduce", "all-gather"})
    assert not others
    assert sum(math.prod(shape) for _, shape in step["collectives"]) >= sum(math.prod(s) for s in step["params"])
