"""The published networks: their state dicts with weights drawn from names, and the reference vectors for these."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import REFERENCE, manifest, named_weight

from aggpose_jax.weights.state_dicts import read_state_dict, write_state_dict


def reference(name: str) -> dict[str, np.ndarray]:
    with np.load(REFERENCE / f"ref_{name}.npz") as arrays:
        return dict(arrays)


def published(name: str) -> dict[str, np.ndarray]:
    """Returns the state dict for which the reference vectors were computed."""
    return {key: named_weight(key, shape) for key, shape in manifest(name).items()}


def assert_same(actual: dict, expected: dict) -> None:
    """Asserts that two state dicts are equal to the last bit."""
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        assert (actual[name].dtype, actual[name].shape) == (tensor.dtype, tensor.shape), name
        assert actual[name].tobytes() == tensor.tobytes(), name


def check_state_dict(name: str) -> None:
    """Asserts that a published state dict is read and written again bit for bit, with the prefixes of its source."""
    tensors = published(name)
    found = read_state_dict(tensors)
    assert_same(write_state_dict(found.model, found.variables), tensors)


def relative_error(maps: np.ndarray, expected: np.ndarray) -> float:
    """Returns the error of heatmaps [B, K, H, W], relative to the norm of their deviations from each map's mean."""
    return np.linalg.norm(maps - expected) / np.linalg.norm(expected - expected.mean((2, 3), keepdims=True))


def heatmap_error(name: str) -> float:
    """Returns the error of the heatmaps of a published network in evaluation."""
    found = read_state_dict(published(name))
    image = np.random.default_rng(7).standard_normal((1, 3, 256, 192)).astype(np.float32).transpose(0, 2, 3, 1)
    heatmaps = jax.jit(found.model.apply)(found.variables, image)
    assert heatmaps.dtype == jnp.float32
    return relative_error(np.asarray(heatmaps).transpose(0, 3, 1, 2), reference(name)["heatmaps_nchw"])


def check_training_step(name: str, **fields) -> None:
    """Compares loss, heatmaps, gradient norms and running statistics of a step in float64 with the reference.

    Args:
      name: name of the reference.
      fields: fields of the module that switch off what is random.
    """
    expected, found = reference(name), read_state_dict(published(name))
    h, w = expected["train_image_size_hw"]
    image = np.random.default_rng(8).standard_normal((2, 3, h, w)).astype(np.float32)
    target = np.random.default_rng(9).random((2, 17, h // 4, w // 4)).astype(np.float32)
    with jax.enable_x64(True):
        model = found.model.clone(dtype=jnp.float64, **fields)
        variables = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), found.variables)

        def loss(params, image, target):
            given = {**variables, "params": params}
            heatmaps, updated = model.apply(given, image, train=True, mutable=["batch_stats"])
            return 0.5 * jnp.mean(jnp.square(heatmaps - target)), (heatmaps, updated.get("batch_stats", {}))

        images = (jnp.asarray(a.transpose(0, 2, 3, 1), jnp.float64) for a in (image, target))
        (value, (heatmaps, stats)), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(
            variables["params"], *images
        )
    assert float(value) == pytest.approx(float(expected["loss"]), rel=1e-8)
    maps = np.asarray(heatmaps).transpose(0, 3, 1, 2)[:1, :4]
    assert relative_error(maps, expected["train_heatmaps_nchw"]) <= 1e-6
    tensors = write_state_dict(found.model, {"params": gradient, **({"batch_stats": stats} if stats else {})})
    norms = {key: np.linalg.norm(tensor) for key, tensor in tensors.items()}
    compared = [("grad_names", "", "grad_norms")]
    if "bn_names" in expected:
        compared += [("bn_names", ".running_mean", "bn_mean_norms"), ("bn_names", ".running_var", "bn_var_norms")]
    for names, suffix, key in compared:
        large = expected[key] > 1e-9  # The others are rounding errors of zero.
        actual = [norms[f"{name}{suffix}"] for name in expected[names][large]]
        np.testing.assert_allclose(actual, expected[key][large], rtol=1e-6)
    for position in ("first", "last") if "bn_names" in expected else ():
        layer = str(expected[f"bn_{position}_name"])
        np.testing.assert_allclose(tensors[f"{layer}.running_mean"], expected[f"bn_{position}_mean"], rtol=1e-6)
        np.testing.assert_allclose(tensors[f"{layer}.running_var"], expected[f"bn_{position}_var"], rtol=1e-6)
