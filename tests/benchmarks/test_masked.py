"""Tests of the benchmark of masked pretraining: what it measures, not the speeds."""

import numpy as np
import pytest

from aggpose_jax.benchmarks import masked
from aggpose_jax.errors import UserError


def test_a_row_for_each_network_and_step(monkeypatch):
    steps = {name: (lambda params: params, {}) for name in ("full encode", "visible-patch encode")}
    monkeypatch.setattr(masked, "masked_steps", lambda network, batch: steps)
    monkeypatch.setattr(masked.timing, "in_turn", lambda functions: {n: [i] for i, n in enumerate(functions, 1)})
    rows = masked.measure(["b2", "tiny"], batch=1)
    assert [row.name for row in rows] == [f"{network}, {step}" for network in ("b2", "tiny") for step in steps]
    assert [row.slower and row.slower.median for row in rows] == [None, 2, None, 2]


@pytest.mark.slow
def test_both_masked_encodes_have_the_same_gradient(monkeypatch):
    monkeypatch.setattr(masked, "MASKED_SIZE", (64, 96))
    steps = masked.masked_steps("tiny", batch=2)
    hidden, visible, full = (
        steps[name][0](steps[name][1])["encoder"]
        for name in ("masked full encode", "visible-patch encode", "full encode")
    )
    hidden, visible, full = (np.asarray(tree["embed1"]["proj"]["kernel"]) for tree in (hidden, visible, full))
    np.testing.assert_allclose(visible, hidden, atol=1e-4 * np.abs(hidden).max())
    assert not np.allclose(full, hidden, rtol=0.1)


def test_unknown_network_raises():
    with pytest.raises(UserError, match=r"--networks: b9 .*\bb0\b"):
        masked.measure(["b9"], batch=1)
