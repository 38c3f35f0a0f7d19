"""Where compiled programs are kept, and what they say they need."""

import jax
import jax.numpy as jnp
import pytest

from aggpose_jax.runtime import compilation


@pytest.fixture
def cache():
    """A function that says where programs are kept."""
    before = jax.config.jax_compilation_cache_dir
    yield lambda: jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", before)


def test_programs_are_kept_in_the_users_cache_unless_said_otherwise(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    jax.config.update("jax_compilation_cache_dir", None)
    compilation.enable_compilation_cache()
    assert cache().startswith(f"{tmp_path}/aggpose_jax/")
    jax.config.update("jax_compilation_cache_dir", "/elsewhere")
    compilation.enable_compilation_cache()
    assert cache() == "/elsewhere"


def test_a_matrix_product_by_hand():
    a, b = jnp.ones((256, 512)), jnp.ones((512, 128))
    text = compilation.describe_resources(jax.jit(jnp.matmul).lower(a, b).compile())
    memory = 4 * (256 * 512 + 512 * 128 + 256 * 128) / 2**20
    assert f"{memory:.1f} MiB state and batch" in text
    assert f"{2 * 256 * 512 * 128 / 1e9:.3g} GFLOP a device" in text
