"""The program `aggpose convert`: weights in, out, and compared with reference vectors."""

import json
import pathlib

import numpy as np
import pytest
from programs import QUICK, run
from reference import REFERENCE, named_weight
from trees import blank, blank_variables, shapes_of, zeros

from aggpose_jax import networks
from aggpose_jax.config import load_config
from aggpose_jax.weights import weight_files
from aggpose_jax.weights.state_dicts import write_state_dict

TINY = """
from aggpose_jax.config import default_config

def get_config():
    config = default_config()
    config.keypoint_set = "infant_21"
    with config.unlocked():
        config.model.update(name="aggpose_tiny", depths=((2, 2, 2, 2), (2, 2, 2), (3, 2), (2,)))
    return config
"""
DEBUG = "--config=configs/synthetic.py:debug"  # AggPose tiny, 21 keypoints


def named_tensors(model, parameters) -> dict[str, np.ndarray]:
    return {
        name: named_weight(name, tensor.shape)
        for name, tensor in write_state_dict(model, {"params": parameters}).items()
    }


def tiny_tensors(keypoints: int) -> dict[str, np.ndarray]:
    name = "aggpose_tiny"
    return named_tensors(networks.build(name, keypoints=keypoints), blank(name, keypoints))


def error(ended) -> str:
    """Returns the error line of a program that ended with a user error."""
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    *_, last = ended.stderr.strip().splitlines()
    assert last.startswith("error: ")
    return last


def test_weights_are_converted_and_back_bit_for_bit(tmp_path):
    tensors = tiny_tensors(21)
    given, workdir, back = tmp_path / "given.safetensors", tmp_path / "run", tmp_path / "back.safetensors"
    weight_files.write(given, tensors)
    came_in = run("convert", "from-torch", str(given), DEBUG, f"--workdir={workdir}")
    assert came_in.returncode == 0, came_in.stderr
    (row,) = (line for line in came_in.stdout.splitlines() if line.startswith("40 modules"))
    assert row.endswith(" 1,015,557")
    assert load_config(workdir / "config.json").model.name == "aggpose_tiny"
    went_out = run("convert", "to-torch", f"--checkpoint={workdir}", str(back))
    assert went_out.returncode == 0, went_out.stderr
    again = weight_files.read(back)
    assert again.keys() == tensors.keys()
    assert all(again[name].tobytes() == tensor.tobytes() for name, tensor in tensors.items())

    assert str(workdir) in error(run("convert", "from-torch", str(given), DEBUG, f"--workdir={workdir}"))


def test_errors_are_one_line(tmp_path):
    weight_files.write(tmp_path / "coco.safetensors", tiny_tensors(17))
    arguments = ("convert", "from-torch", str(tmp_path / "coco.safetensors"), DEBUG)
    usage = run(*arguments)
    assert usage.returncode == 2
    assert "--workdir" in usage.stderr
    other_head = error(run(*arguments, f"--workdir={tmp_path / 'run'}"))
    assert "coco.safetensors: " in other_head
    assert "17 keypoints" in other_head
    assert "21" in other_head
    assert not (tmp_path / "run").exists()


def test_images_of_another_size_than_a_network_requires_are_named(tmp_path):
    name, file = "tokenpose_tiny", tmp_path / "weights.safetensors"
    model = networks.build(name, keypoints=21)
    weight_files.write(file, write_state_dict(model, blank_variables(name, 21)))
    np.save(tmp_path / "images.npy", np.zeros((1, 3, 64, 64), np.float32))
    options = (f"--input={tmp_path / 'images.npy'}", f"--expect={tmp_path / 'images.npy'}")
    config = (DEBUG, f"--config.model.name={name}", "--config.model.drop_path=0.1")
    message = error(run("convert", "check", str(file), *options, *config))
    assert "(1, 3, 64, 64) is not [N, 3, 128, 96]" in message


def write_case(folder: pathlib.Path, name: str) -> tuple[dict[str, np.ndarray], str]:
    """Writes images and heatmaps of a reference file as .npy; returns its weights and the experiment of its network."""
    with np.load(REFERENCE / f"aggpose_{name}.npz") as reference:
        images = (
            reference["image_nchw"] if name == "tiny" else np.random.default_rng(7).standard_normal((1, 3, 256, 192))
        )
        np.save(folder / "images.npy", images.astype(np.float32))
        np.save(folder / "heatmaps.npy", reference["heatmaps_nchw"])
        keypoints, first = int(reference["num_joints"]), [int(depth) for depth in reference["depths"]]
    depths = tuple((depth, *[first[0]] * (3 - i)) for i, depth in enumerate(first))
    model = networks.build(f"aggpose_{name}", keypoints=keypoints, depths=depths)
    config = {"s": "configs/coco_l.py:s", "l": "configs/infant_l.py", "tiny": str(folder / "tiny.py")}[name]
    (folder / "tiny.py").write_text(TINY)
    return named_tensors(model, zeros(shapes_of(model))), config


def check(folder: pathlib.Path, tensors: dict[str, np.ndarray], experiment: str):
    """Compares the heatmaps of weights with those of `write_case` in the folder."""
    weight_files.write(folder / "weights.safetensors", tensors)
    return run(
        *("convert", "check", str(folder / "weights.safetensors"), f"--config={experiment}"),
        *(f"--input={folder / 'images.npy'}", f"--expect={folder / 'heatmaps.npy'}"),
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny", "s", "l"])
def test_reference_weights_pass_the_check(name, tmp_path):
    passed = check(tmp_path, *write_case(tmp_path, name))
    assert passed.returncode == 0, passed.stderr
    assert float(passed.stdout.split()[1].rstrip(",")) <= 1e-5


@pytest.mark.slow
def test_one_weight_one_percent_off_does_not_pass_the_check(tmp_path):
    tensors, experiment = write_case(tmp_path, "tiny")
    bias = tensors["final_layer.fc2.bias"]
    bias[np.abs(bias).argmax()] *= 1.01
    assert "tolerance 1e-05" in error(check(tmp_path, tensors, experiment))


@pytest.mark.slow
def test_a_trained_network_has_the_same_metrics_after_conversion_and_back(tmp_path):
    first, second, file = tmp_path / "first", tmp_path / "second", tmp_path / "weights.safetensors"
    for arguments in (
        ("main", *QUICK, f"--workdir={first}"),
        ("convert", "to-torch", str(file), f"--checkpoint={first}"),
        ("convert", "from-torch", str(file), *QUICK, f"--workdir={second}"),
        ("evaluate", f"--checkpoint={first}"),
        ("evaluate", f"--checkpoint={second}"),
    ):
        ended = run(*arguments)
        assert ended.returncode == 0, ended.stderr
    metrics = [json.loads((workdir / "metrics.json").read_text()) for workdir in (first, second)]
    assert metrics[0] == metrics[1]
    assert metrics[0]["metrics"]["OKS_p50"] > 0

    resumed = error(run("main", *QUICK, f"--workdir={second}"))
    assert str(second) in resumed
    assert "converted" in resumed
