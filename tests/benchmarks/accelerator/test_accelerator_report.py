"""The program of the accelerator report, in processes in which other libraries than it may use do not exist."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from programs import ROOT, environment

from aggpose_jax.benchmarks import accelerator_crops
from aggpose_jax.benchmarks.accelerator import vectors
from aggpose_jax.benchmarks.accelerator.part import Budget, LeftOut, Setting

PROGRAM = pathlib.Path(__file__).with_name("few_libraries.py")


def report(*arguments, **variables):
    command = [sys.executable, str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, env=environment() | variables, capture_output=True, text=True)


def test_the_program_needs_four_libraries_only(tmp_path):
    process = report("--tiny", "--out", tmp_path, "--parts", "roofs")
    assert process.returncode == 0, process.stderr
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["parts"]["roofs"]["copy"] > 0
    assert content["machine"]["jax"]
    assert "## Limits of the device" in (tmp_path / "report.md").read_text()


@pytest.mark.slow
def test_real_training_steps_need_four_libraries_only(tmp_path):
    np.savez(tmp_path / "crops.npz", **accelerator_crops.draw((8, 2)))
    names = ("roofs", "vectors", "stencils", "program", "training")
    arguments = ("--tiny", "--out", tmp_path, "--crops", tmp_path / "crops.npz", "--parts", ",".join(names))
    process = report(*arguments)
    assert process.returncode == 0, process.stderr
    parts = json.loads((tmp_path / "report.json").read_text())["parts"]
    assert tuple(parts) == names
    assert [row["holds"] for row in parts["vectors"]["rows"]] == [True, True]
    assert len(parts["stencils"]["rows"]) == 4 * (2 + 2 + 3)
    assert all(row["equal"] for row in parts["stencils"]["rows"])
    assert parts["program"]["trace"]["launches"] > 0
    assert parts["program"]["trace"]["milliseconds"]["matrix products"] > 0
    assert parts["training"]["steps"] >= 1
    assert {row["dtype"] for row in parts["training"]["rows"]} == {"bfloat16", "float32"}
    assert "A training step" in (tmp_path / "report.md").read_text()


def test_the_test_hides_libraries(tmp_path):
    code = (
        "import sys; from few_libraries import FewLibraries; sys.meta_path[:] = map(FewLibraries, sys.meta_path)\n"
        "import flax, optax, jax, aggpose_jax.training.trainer\n"
        "for name in ('config', 'data.images', 'training.pose_task', 'training.reporting'):\n"
        "    try: __import__(f'aggpose_jax.{name}')\n"
        "    except ModuleNotFoundError as error: print(error.name)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=PROGRAM.parent, env=environment(), capture_output=True, text=True
    )
    assert process.stdout.split() == ["ml_collections", "cv2", "ml_collections", "matplotlib"], process.stderr


@pytest.mark.parametrize(
    ("arguments", "platform", "status", "words"),
    [
        (["--parts", "roofs,speed"], "cpu", 2, "unknown part speed; known are roofs, vectors"),
        (["--tiny"], "cuda", 1, "JAX finds no device"),
        ([], "cpu", 1, "JAX finds only a CPU"),
    ],
)
def test_mistakes_are_one_line(tmp_path, arguments, platform, status, words):
    process = report("--out", tmp_path, *arguments, JAX_PLATFORMS=platform)
    assert process.returncode == status
    assert words in process.stderr
    assert process.stderr.count("\n") == 1


def test_a_failed_part_is_reported_in_one_line(tmp_path):
    (tmp_path / "crops.npz").write_bytes(b"no archive")
    process = report("--tiny", "--out", tmp_path, "--crops", tmp_path / "crops.npz", "--parts", "training,roofs")
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1].startswith("error: failed: training;")
    parts = json.loads((tmp_path / "report.json").read_text())["parts"]
    assert "error" in parts["training"]
    assert parts["roofs"]["copy"] > 0


def test_reference_vectors_are_left_out_without_the_tests(tmp_path, monkeypatch):
    monkeypatch.setattr(vectors, "HELPERS", tmp_path / "reference.py")
    with pytest.raises(LeftOut, match=r"reference\.py; copy the folder tests"):
        vectors.measure(Setting(tmp_path, tmp_path, tiny=True), Budget(60), {})


def test_the_script_starts_the_program():
    script = (ROOT / "launch" / "accelerator_report.sh").read_text()
    assert "-m aggpose_jax.benchmarks.accelerator " in script
