"""Tests of the choice of forms by device kind, and of the Pallas kernels, which are interpreted here."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aggpose_jax import io
from aggpose_jax.errors import UserError
from aggpose_jax.networks import depthwise, depthwise_pallas, fastest_forms

FORMS = {"grouped": lambda: 1, "pallas": lambda: 2}


@pytest.fixture
def write_table(tmp_path, monkeypatch):
    """Returns a function that replaces the table by one with these forms for the device of this test."""

    def write(forms: dict[str, str], kind: str | None = None) -> None:
        monkeypatch.setattr(fastest_forms, "FILE", tmp_path / f"{len(list(tmp_path.iterdir()))}.json")
        io.write_json(fastest_forms.FILE, {kind or jax.devices()[0].device_kind: forms})

    return write


def test_the_form_is_that_of_the_table(write_table):
    write_table({"kernel_gradient": "pallas"})
    assert fastest_forms.choose("kernel_gradient", FORMS)() == 2
    assert fastest_forms.choose("forward", FORMS)() == 1
    write_table({"kernel_gradient": "pallas"}, kind="another device")
    assert fastest_forms.choose("kernel_gradient", FORMS)() == 1


def test_pallas_is_not_chosen_for_several_devices(write_table, monkeypatch):
    write_table({"kernel_gradient": "pallas"})
    monkeypatch.setattr(jax, "device_count", lambda: 2)
    assert fastest_forms.choose("kernel_gradient", FORMS)() == 1


def test_an_unknown_form_is_an_error(write_table):
    write_table({"kernel_gradient": "fast"})
    with pytest.raises(UserError, match=r"\.json: .*kernel_gradient .*'fast'.*grouped, pallas"):
        fastest_forms.choose("kernel_gradient", FORMS)


def test_the_table_of_the_package_names_only_forms_that_exist():
    for forms in io.read_json(fastest_forms.FILE).values():
        assert forms.keys() <= {"forward", "kernel_gradient"}
        assert forms.get("forward", "grouped") in depthwise.FORWARD
        assert forms.get("kernel_gradient", "grouped") in depthwise.KERNEL_GRADIENT


def test_programs_for_gpus_contain_the_forms_of_the_table(write_table):
    x, kernel, bias = jnp.zeros((1, 4, 4, 16)), jnp.zeros((3, 3, 16)), jnp.zeros(16)

    def lowered(platform):
        gradient = jax.grad(lambda *a: depthwise.depthwise_gelu(*a).sum(), argnums=(0, 1, 2))
        # A new function each time, since JAX remembers traces.
        return jax.jit(lambda *a: gradient(*a)).trace(x, kernel, bias).lower(lowering_platforms=(platform,)).as_text()

    write_table({"forward": "shifts", "kernel_gradient": "pallas"})
    text = lowered("cuda")
    assert text.count("stablehlo.convolution") == 0
    assert text.count("triton") >= 1
    assert "tpu_custom_call" in lowered("tpu")


@pytest.mark.parametrize("shape", [(2, 6, 5, 32), (1, 3, 12, 5), (2, 4, 3, 256)])
@pytest.mark.parametrize("kernel", [depthwise_pallas.gpu_kernel_gradient, depthwise_pallas.tpu_kernel_gradient])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_pallas_kernels_add_the_same_products(shape, kernel, dtype):
    rng = np.random.default_rng(0)
    x, dz = (jnp.asarray(rng.standard_normal(shape), dtype) for _ in range(2))
    expected = depthwise._kernel_gradient_reduction(x.astype(jnp.float32), dz.astype(jnp.float32))
    actual = jax.jit(functools.partial(kernel, interpret=True))(x, dz)
    assert actual.dtype == jnp.float32
    np.testing.assert_allclose(actual, expected, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize("shape", [(2, 64, 48, 256), (2, 32, 24, 512), (2, 16, 12, 1280), (2, 8, 6, 2048)])
def test_pallas_kernels_are_accepted_for_gpus_and_tpus(shape):
    x = jax.ShapeDtypeStruct(shape, jnp.bfloat16)
    for platform, call in (("cuda", "triton"), ("tpu", "tpu_custom_call")):
        lowered = jax.jit(depthwise_pallas.kernel_gradient).trace(x, x).lower(lowering_platforms=(platform,))
        assert call in lowered.as_text()
