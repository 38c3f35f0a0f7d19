"""Fixtures that every test may use."""

import os
import pathlib

import pytest

# Compiling takes most of the time of the tests. Those that start programs compile them as users do.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"


@pytest.fixture(scope="session")
def test_data() -> pathlib.Path:
    """The folder of real images named by AGGPOSE_TEST_DATA; tests that need it skip without it."""
    folder = os.environ.get("AGGPOSE_TEST_DATA")
    if not folder:
        pytest.skip("AGGPOSE_TEST_DATA names no folder")
    return pathlib.Path(folder)


@pytest.fixture(scope="session")
def torch():
    """PyTorch; tests that need it are marked "extras" and skip without it."""
    return _extra("torch")


@pytest.fixture(scope="session")
def transformers(torch):
    """Hugging Face's transformers on PyTorch."""
    return _extra("transformers")


def _extra(name: str):
    return pytest.importorskip(name, reason=f"{name} is not installed: pip install -r requirements-extras.txt")
