"""Settings and fixtures for all tests."""

import os
import pathlib

import programs
import pytest

# Programs that tests start in processes of their own set XLA_FLAGS anew (see `environment` in programs.py).
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {programs.COMPILE_FAST}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Moves the test that takes longest to the front, so that it does not run alone at the end."""
    items.sort(key=lambda item: item.path.name != "test_recipe.py")


@pytest.fixture(scope="session")
def test_data() -> pathlib.Path:
    """Returns the folder of real images that AGGPOSE_TEST_DATA names; skips the test if the variable is not set."""
    folder = os.environ.get("AGGPOSE_TEST_DATA")
    if not folder:
        pytest.skip("AGGPOSE_TEST_DATA is not set to a folder")
    return pathlib.Path(folder)


@pytest.fixture(scope="session")
def torch():
    """Returns PyTorch or skips the test. Tests that need it are marked "extras"."""
    return _extra("torch")


@pytest.fixture(scope="session")
def transformers(torch):
    """Returns Hugging Face's transformers, which run on PyTorch, or skips the test."""
    return _extra("transformers")


def _extra(name: str):
    """Imports and returns an optional package; skips the test if it is not installed."""
    return pytest.importorskip(name, reason=f"{name} is not installed: see .ci/run")
