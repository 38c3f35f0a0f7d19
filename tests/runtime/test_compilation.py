"""The folder of the compilation cache, and the memory and FLOP of compiled programs."""

import jax
import jax.numpy as jnp
import pytest

from aggpose_jax.runtime import compilation


@pytest.fixture
def cache():
    """Returns a function that returns the folder of the compilation cache; restores the folder afterwards."""
    before = jax.config.jax_compilation_cache_dir
    yield lambda: jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", before)


def test_the_default_cache_is_in_xdg_cache_home(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    jax.config.update("jax_compilation_cache_dir", None)
    compilation.enable_compilation_cache()
    assert cache().startswith(f"{tmp_path}/aggpose_jax/")
    jax.config.update("jax_compilation_cache_dir", "/elsewhere")
    compilation.enable_compilation_cache()
    assert cache() == "/elsewhere"


def test_memory_and_flop_of_a_matrix_product():
    a, b = jnp.ones((256, 512)), jnp.ones((512, 128))
    text = compilation.describe_resources(jax.jit(jnp.matmul).lower(a, b).compile())
    memory = 4 * (256 * 512 + 512 * 128 + 256 * 128) / 2**20
    assert f"{memory:.1f} MiB state and batch" in text
    assert f"{2 * 256 * 512 * 128 / 1e9:.3g} GFLOP per device" in text
