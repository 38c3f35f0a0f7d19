"""Tests of the libraries that a prediction loads in a new process."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from programs import environment
from tiny import write_experiment, write_run

from aggpose_jax.weights import weight_files
from aggpose_jax.weights.state_dicts import write_state_dict

TRAINING = {"optax", "grain", "tensorflow_datasets", "tensorflow", "matplotlib", "tensorboardX", "pycocotools"}
PREDICT = """
import sys
import aggpose_jax
found = aggpose_jax.load(*sys.argv[2:]).predict(sys.argv[1], [[4, 4, 40, 40]])
assert found.shape == (1, 21, 3)
print(*sorted({name.split(".")[0] for name in sys.modules}))
print(*sorted(name for name in sys.modules if name.startswith("aggpose_jax.training")))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Returns the folder of a run that also contains an image, a weight file and an experiment."""
    folder = tmp_path_factory.mktemp("run")
    task, variables = write_run(folder)
    weight_files.write(folder / "weights.safetensors", write_state_dict(task.model, variables))
    write_experiment(folder)
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(folder / "image.png")
    return folder


def predict(folder, *source) -> tuple[set[str], set[str]]:
    """Returns the libraries and the modules of aggpose_jax.training that are loaded after a prediction."""
    command = [sys.executable, "-c", PREDICT, folder / "image.png", *source]
    ended = subprocess.run(list(map(str, command)), env=environment(), capture_output=True, text=True, check=True)
    libraries, training = ended.stdout.split("\n")[:2]
    return set(libraries.split()), set(training.split())


def test_weight_file_loads_no_training_library_and_no_orbax(folder):
    libraries, training = predict(folder, folder / "weights.safetensors", folder / "experiment.py")
    assert {"jax", "flax", "cv2"} < libraries
    assert not libraries & (TRAINING | {"orbax"})
    assert not training


def test_run_loads_orbax_and_no_training_library(folder):
    libraries, training = predict(folder, folder)
    assert "orbax" in libraries
    assert not libraries & TRAINING
    assert not training
