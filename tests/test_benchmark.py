"""The program `aggpose benchmark`: its tables, its JSON file and its errors."""

import json

import pytest

from aggpose_jax import benchmark
from aggpose_jax.benchmarks import films, machine
from aggpose_jax.benchmarks.machine import Machine
from aggpose_jax.benchmarks.measurements import Measurement
from aggpose_jax.errors import UserError

LIMITS = Machine("processor", 2, {"float32": 1e11, "bfloat16": 1e11}, 1e10)


@pytest.fixture(autouse=True)
def limits(monkeypatch):
    monkeypatch.setattr(machine, "measure", lambda: LIMITS)


def run(*argv):
    benchmark.main(benchmark.parser().parse(argv))


def test_measurements_are_printed_and_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark.decoding, "measure", lambda: [Measurement("DARK", 32, [0.5])])
    run("decode", f"--out={tmp_path / 'speed.json'}")
    first, _, row = capsys.readouterr().out.splitlines()
    assert first == LIMITS.describe()
    assert row.split() == ["DARK", "500.0", "64.0"]
    content = json.loads((tmp_path / "speed.json").read_text())
    assert content["machine"]["copy"] == 1e10
    assert content["measurements"][0]["samples_per_second"] == 64


def test_a_file_that_cannot_be_written_is_an_error_after_the_tables(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark.decoding, "measure", lambda: [Measurement("DARK", 32, [0.5])])
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/speed\.json: cannot be written"):
        run("decode", f"--out={tmp_path / 'file' / 'speed.json'}")
    assert "DARK" in capsys.readouterr().out


def test_all_measures_every_part(monkeypatch, capsys):
    for name in ("network", "training", "masked", "decoding", "films"):
        row = Measurement(f"row of {name}", 1, [1.0])
        monkeypatch.setattr(getattr(benchmark, name), "measure", lambda *arguments, row=row: [row])
    monkeypatch.setattr(benchmark.data_pipeline, "measure", lambda *arguments: {"row of data": {"images/s": 3.0}})
    run("all", "--config=synthetic:debug")
    out = capsys.readouterr().out
    for name in ("network", "training", "masked", "decoding", "data", "films"):
        assert f"row of {name}" in out


def test_a_film_is_measured_with_its_parts(monkeypatch, capsys):
    monkeypatch.setattr(films, "FRAMES", 4)
    monkeypatch.setattr(films.measure, "__defaults__", (4, 1))
    run("predict")
    rows = capsys.readouterr().out.splitlines()[2:]
    names = ["film to tables", "decoding alone", "crops and network alone"]
    assert [row.strip().split(",")[0] for row in rows] == names


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["speed"], "unknown verb speed"),
        (["model", "--config=synthetic", "--compare=tensorrt"], "unknown program tensorrt; known are torch,"),
        (["train", "--config=synthetic", "--compare=onnxruntime"], "unknown program onnxruntime; known are torch,"),
        (["model", "--config=synthetic", "--batches=0"], "0 is not a whole number of at least 1"),
        (["model"], "--config"),
    ],
)
def test_a_wrong_command_line_ends_in_two(argv, message, capsys):
    with pytest.raises(SystemExit) as end:
        benchmark.parser().parse(argv)
    assert end.value.code == 2
    assert message in capsys.readouterr().err
