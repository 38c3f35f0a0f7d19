"""The program `aggpose series`, started as users start it."""

import csv
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from disks import drop_privileges
from keypoint_films import NETWORK, Certainty, film, record, write
from programs import ROOT, environment, run

from aggpose_jax import series
from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.recordings import recording
from aggpose_jax.timeseries import table

RAW = ("keypoints.csv", "video.json")
HANDS = KeypointSet("hands", ("左手 left", "右手 right"), ((0, 1),), (), (0.05, 0.05), ())
OPTIONS = [
    [],
    ["--no-abstain", "--no-swaps", "--no-outliers", "--no-fill"],
    ["--smooth=butterworth", "--cutoff=5"],
    ["--smooth=savgol", "--window=0.5", "--align=frame"],
    ["--smooth=oneeuro", "--cutoff=2", "--beta=0.5"],
]


def call(*arguments) -> None:
    series.main(series.parser().parse([str(one) for one in arguments]))


def lines(folder) -> list[dict[str, str]]:
    with open(folder / table.FILE, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def results(tmp_path):
    """Results of three films: one at rest with a spike, one without a pose, and one of a single frame."""
    time, position = film(30)
    position[10, 0, 4] += 50
    write(tmp_path / "film_2", record(time, position))
    write(tmp_path / "film_10", record(time, np.full_like(position, np.nan)))
    write(tmp_path / "Säugling 手" / "film", record(time[:1], position[:1]))
    return tmp_path


@pytest.fixture
def calibrated(monkeypatch):
    monkeypatch.setattr(series.calibration, "read", lambda path: Certainty())


def test_each_recording_gets_a_table_and_a_line(results, capsys):
    call(results)
    out = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in out] == ["Säugling 手/film", "film_2", "film_10", "index"]
    assert out[2].endswith("; position unusable; speed unusable; fidgety unusable")
    assert "30 frames" in out[1]
    assert "filled 0.6%" in out[1]
    assert "missing 100.0%" in out[2]
    found = lines(results / "film_2")
    assert len(found) == 30 * 6
    assert found[10 * 6 + 4]["flag"] == "filled"
    assert [found[4][key] for key in ("x_torso", "y_torso", "expected_error")] == ["1.00000", "-0.80000", ""]
    assert {line["flag"] for line in lines(results / "film_10")} == {"missing"}


def test_one_recording_may_be_given(results, capsys):
    call(results / "film_2")
    assert capsys.readouterr().out.startswith("film_2: ")
    assert not (results / "film_10" / table.FILE).exists()


@pytest.mark.parametrize("options", OPTIONS)
def test_the_files_of_predict_stay_byte_for_byte(results, options, calibrated):
    files = [path for path in results.rglob("*") if path.name in RAW]
    before = {path: path.read_bytes() for path in files}
    assert len(before) == 6
    call(results, *options, "--calibration=any")
    assert {path: path.read_bytes() for path in files} == before
    assert not [path for path in results.rglob("*") if path.name.endswith(".partial")]


def test_steps_can_be_switched_off(results):
    call(results, "--no-outliers")
    assert {line["flag"] for line in lines(results / "film_2")} == {"ok"}
    call(results, "--no-fill")
    assert lines(results / "film_2")[10 * 6 + 4]["flag"] == "outlier"


def test_a_table_is_read_back(results):
    call(results)
    found = recording.read(results / "film_2")
    np.testing.assert_allclose(table.read(results / "film_2" / table.FILE, found).position, film(30)[1])


def test_the_filter_report_is_that_of_the_last_call(results):
    path = results / "film_2" / series.FILTER_REPORT
    call(results, "--smooth=butterworth", "--cutoff=5")
    content = json.loads(path.read_text())
    assert (content["filter"], content["cutoff"]) == ("butterworth", 5)
    call(results, "--smooth=oneeuro", "--beta=0.5")
    content = json.loads(path.read_text())
    assert (content["filter"], content["cutoff"], content["beta"]) == ("oneeuro", 1, 0.5)
    call(results)
    assert not path.exists()


def test_units_of_each_frame_remove_the_movement_of_the_trunk(tmp_path):
    time, position = film(30)
    position += 5 * np.arange(30)[:, None, None, None]
    folder = write(tmp_path / "film", record(time, position))
    call(folder)
    assert len({line["x_torso"] for line in lines(folder)[4::6]}) == 30
    call(folder, "--align=frame")
    assert {line["x_torso"] for line in lines(folder)[4::6]} == {"1.00000"}


def test_a_calibration_fills_the_expected_error_and_abstains(tmp_path, calibrated):
    time, position = film(30)
    score = np.full(position.shape[:3], 0.75)
    score[20:, 0, 4] = 0.25
    folder = write(tmp_path / "film", record(time, position, score))
    call(folder, "--calibration=any")
    found = lines(folder)
    assert (found[4]["expected_error"], found[4]["flag"]) == ("0.2500", "ok")
    assert {(line["expected_error"], line["flag"]) for line in found[20 * 6 + 4 :: 6]} == {("0.7500", "missing")}
    call(folder, "--calibration=any", "--no-abstain")
    assert {line["flag"] for line in lines(folder)} == {"ok"}


def test_keypoints_of_the_network_of_the_package_have_its_calibration(tmp_path, monkeypatch):
    time, position = film(30)
    score = np.full(position.shape[:3], 0.75)
    folder = write(tmp_path / "film", record(time, position, score))
    call(folder)
    assert lines(folder)[4]["expected_error"] == ""
    monkeypatch.setattr(series.calibration, "of_package", Certainty)
    call(folder)
    assert lines(folder)[4]["expected_error"] == "0.2500"


def test_a_calibration_of_another_network_is_refused(results, monkeypatch):
    other = SimpleNamespace(digest="xyz")
    monkeypatch.setattr(series.calibration, "read", lambda path: other)
    with pytest.raises(UserError, match=rf"film_2: .*{NETWORK}.*xyz"):
        call(results / "film_2", "--calibration=any")
    assert not (results / "film_2" / table.FILE).exists()


def test_a_bad_recording_is_listed_and_the_others_are_done(results, capsys):
    text = (results / "film_10" / "keypoints.csv").read_text()
    (results / "film_10" / "keypoints.csv").write_text(text.replace("0.133333", "9.0"))
    (results / "film_3").mkdir()
    (results / "film_3" / "video.json").write_text("{}")
    with pytest.raises(UserError, match=r"^2 of 4 recordings failed.*film_3"):
        call(results)
    failed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("failed: ")]
    assert [name in line for name, line in zip(("film_3", "film_10"), failed, strict=True)] == [True, True]
    assert (results / "film_2" / table.FILE).exists()
    assert (results / "Säugling 手" / "film" / table.FILE).exists()


@pytest.mark.parametrize("value", ["inf", "1e400", "left"])
def test_an_edited_coordinate_is_named(results, value):
    path = results / "film_2" / "keypoints.csv"
    path.write_text(path.read_text().replace("300.000", value, 1))
    with pytest.raises(UserError, match=r"film_2/keypoints\.csv"):
        call(results / "film_2")


def test_a_keypoint_set_without_a_torso_says_so(tmp_path, capsys):
    time, position = film(30, keypoint_set=HANDS)
    folder = write(tmp_path / "film", record(time, position, keypoint_set=HANDS))
    call(folder, "--smooth=butterworth")
    assert "no shoulders and hips" in capsys.readouterr().out
    assert [lines(folder)[0][key] for key in ("keypoint", "x", "x_torso")] == ["左手 left", "240.000", ""]


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--cutoff=5"], "--cutoff"),
        (["--smooth=savgol", "--cutoff=5"], "--cutoff"),
        (["--smooth=butterworth", "--beta=1"], "--beta"),
        (["--smooth=butterworth", "--cutoff=20"], "20 Hz"),
    ],
)
def test_an_option_that_does_not_fit_is_a_user_error(results, options, part):
    with pytest.raises(UserError, match=part):
        call(results / "film_2", *options)


@pytest.mark.parametrize("options", [["--cutoff=0"], ["--window=nan"], ["--beta=fast"], ["--smooth=kalman"]])
def test_a_bad_value_is_a_usage_error(options, capsys):
    with pytest.raises(SystemExit) as end:
        series.parser().parse(["x", *options])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert options[0].split("=")[1] in line


def test_the_program_reports_failures_in_one_line_and_its_status(results):
    (results / "film_10" / "video.json").write_text("{}")
    ended = run("series", str(results))
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: 1 of 3 recordings failed")
    assert run("series", str(results / "film_2")).returncode == 0


def test_a_folder_that_cannot_be_written_is_one_line(results):
    folder = results / "film_2"
    try:
        folder.chmod(0o555)
        ended = subprocess.run(
            [sys.executable, "-m", "aggpose_jax.series", str(folder)],
            cwd=ROOT, env=environment(), preexec_fn=drop_privileges, text=True, capture_output=True,
        )  # fmt: skip
    finally:
        folder.chmod(0o755)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "film_2" in line
    assert "Permission denied" in line
    assert sorted(path.name for path in folder.iterdir()) == sorted(RAW)


def test_the_program_loads_no_network():
    program = "import sys, aggpose_jax.series; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", program], env=environment(), text=True).split()
    assert "aggpose_jax.timeseries.clean" in loaded
    assert not {"jax", "flax", "torch", "pandas", "matplotlib"} & {name.split(".")[0] for name in loaded}
