"""Fixtures that every test may use."""

import os
import pathlib

import pytest


@pytest.fixture(scope="session")
def test_data() -> pathlib.Path:
    """The folder of real images named by AGGPOSE_TEST_DATA; tests that need it skip without it."""
    folder = os.environ.get("AGGPOSE_TEST_DATA")
    if not folder:
        pytest.skip("AGGPOSE_TEST_DATA names no folder")
    return pathlib.Path(folder)
