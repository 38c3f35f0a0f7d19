"""The choice of the fastest forms from times that are set by hand, and the measurement of tiny maps."""

import jax
import numpy as np
import pytest

from aggpose_jax import io
from aggpose_jax.benchmarks.accelerator import stencils
from aggpose_jax.benchmarks.accelerator.part import Budget, Setting
from aggpose_jax.networks import depthwise


def rows(operation, form, seconds, blocks=(1, 1, 10, 1), equal=True):
    return [
        {"operation": operation, "stage": i, "blocks": n, "form": form, "seconds": s, "equal": equal, "bytes": 1}
        for i, (n, s) in enumerate(zip(blocks, seconds, strict=True), 1)
    ]


def test_the_fastest_form_is_that_of_all_blocks_of_a_step():
    found = stencils.fastest(
        [
            *rows("kernel gradient", "grouped", [1, 1, 2, 1]),  # 23 in all
            *rows("kernel gradient", "pallas", [5, 5, 1, 5]),  # 25
            *rows("kernel gradient", "shifts", [0, 0, 0, 0], equal=False),
            *rows("forward", "grouped", [1, 1, 1, 1]),
            *rows("forward", "shifts", [2, 2, 2, 2]),
            *rows("input gradient", "grouped", [5, 5, 5, 5]),
            *rows("input gradient", "shifts", [2, 2, 2, 2]),
        ]
    )
    assert found == {"forward": "shifts", "kernel_gradient": "grouped"}


def test_a_form_that_failed_somewhere_is_not_chosen():
    failed = [row for row in rows("kernel gradient", "pallas", [1, 1, 1, 1]) if row["stage"] != 3]
    failed.append({"operation": "kernel gradient", "stage": 3, "blocks": 1, "form": "pallas", "error": "no"})
    slower = rows("kernel gradient", "grouped", [9, 9, 9, 9])
    assert stencils.fastest([*failed, *slower]) == {"kernel_gradient": "grouped"}
    assert stencils.fastest(slower[:3]) == {}


def test_cases_have_the_shapes_and_blocks_of_the_network():
    shapes = [(case.shape, case.blocks) for case in stencils.cases("l", tiny=False) if case.operation == "forward"]
    assert shapes == [
        ((32, 64, 48, 256), 12), ((32, 32, 24, 512), 12), ((32, 16, 12, 1280), 43), ((32, 8, 6, 2048), 3)
    ]  # fmt: skip
    assert len(stencils.cases("l", tiny=False)) == 12


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """The content of the part for one stage, with a form that computes something else and one that cannot run."""

    def failing(x, dz):
        raise NotImplementedError("no such\ninstruction")

    monkeypatch.setattr(stencils, "cases", lambda variant, tiny: [
        stencils.Case(operation, 2, (2, 4, 3, 8), 5) for operation in ("forward", "input gradient", "kernel gradient")
    ])  # fmt: skip
    wrong = {"wrong": lambda x, kernel: 1.1 * depthwise._depthwise_shifts(x, kernel)}
    monkeypatch.setattr(depthwise, "FORWARD", depthwise.FORWARD | wrong)
    monkeypatch.setattr(depthwise, "KERNEL_GRADIENT", depthwise.KERNEL_GRADIENT | {"wrong": failing})
    monkeypatch.setattr(stencils, "fastest", lambda rows: {"forward": "shifts"})
    setting = Setting(tmp_path, tmp_path, tiny=True)
    return setting, stencils.measure(setting, Budget(60), {"roofs": {"copy": 1e9}})


def test_each_form_is_compared_with_float32(measured):
    _, content = measured
    found = {(row["operation"], row["form"]): row for row in content["rows"]}
    assert len(found) == 3 + 3 + 4
    assert {key for key, row in found.items() if not row.get("equal")} == {
        ("forward", "wrong"), ("input gradient", "wrong"), ("kernel gradient", "wrong")
    }  # fmt: skip
    np.testing.assert_allclose(found["forward", "wrong"]["relative_error"], 0.1, rtol=1e-4)
    assert found["kernel gradient", "wrong"]["error"] == "NotImplementedError: no such instruction"
    row = found["kernel gradient", "pallas"]
    assert row["bytes"] == 2 * 2 * 4 * 3 * 8 * 4
    assert row["copy_share"] == row["bytes"] / row["seconds"] / 1e9


def test_the_row_of_the_table_is_written(measured):
    setting, _ = measured
    assert io.read_json(setting.folder / "fastest_forms.json") == {jax.devices()[0].device_kind: {"forward": "shifts"}}


def test_the_page_names_wrong_and_failed_forms(measured):
    _, content = measured
    text = "\n".join(stencils.describe(content))
    assert "differs by 1e-01" in text
    assert "failed" in text
    assert "kernel gradient, stage 2, wrong: NotImplementedError: no such instruction" in text
    assert "**forward: shifts**" in text
