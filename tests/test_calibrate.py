"""The program `aggpose calibrate`: films with truth become a calibration, and each bad film is named."""

import json
import re

import known_films
import numpy as np
import pytest

from aggpose_jax import calibrate, cli
from aggpose_jax.timeseries import calibration


def run(*arguments) -> None:
    cli.run(calibrate.parser, calibrate.main, [*map(str, arguments), "--domain", "stick figures"])


@pytest.fixture
def films(tmp_path):
    """Returns the results and the truth of 24 films."""
    return known_films.write_films(tmp_path, 24, 10)


def test_films_become_a_file(films, tmp_path, capsys):
    results, truths = films
    run(results, "--truth", truths, "--out", tmp_path / "made" / "calibration.json")
    found = calibration.read(tmp_path / "made" / "calibration.json")
    assert (found.digest, found.domain, found.films) == ("network-1", "stick figures", 24)
    out = capsys.readouterr().out
    assert "24 films of 24 infants: stick figures" in out
    assert len(re.findall("^warning: ", out, re.MULTILINE)) == 3
    assert "calibration.json" in out.splitlines()[-1]


def test_films_in_folders_have_their_truth_in_such_folders(films, tmp_path):
    results, truths = films
    for folder, name in ((results, "film_0"), (truths, "film_0.json")):
        (folder / "ward").mkdir()
        (folder / name).rename(folder / "ward" / name)
    run(results, "--truth", truths, "--out", tmp_path / "calibration.json")
    assert calibration.read(tmp_path / "calibration.json").films == 24


def test_bad_films_are_listed_and_the_others_used(films, tmp_path, capsys):
    results, truths = films
    (truths / "film_3.json").unlink()
    (truths / "film_4.json").write_text("{")
    known_films.write_results(results / "film_5", [np.ones((1, 17, 3))] * 9)
    (results / "film_6" / "keypoints.csv").write_text("frame\n")
    with pytest.raises(SystemExit) as end:
        run(results, "--truth", truths, "--out", tmp_path / "calibration.json")
    assert end.value.code == 1
    assert calibration.read(tmp_path / "calibration.json").films == 20
    *listed, last = [line for line in capsys.readouterr().err.splitlines() if "film/s" not in line and line]
    assert [re.search(r"film_\d", line)[0] for line in listed] == ["film_3", "film_4", "film_5", "film_6"]
    assert last.startswith("error: 4 films were left out")


def one_error(capsys, *arguments) -> str:
    with pytest.raises(SystemExit) as end:
        run(*arguments)
    assert end.value.code == 1
    return capsys.readouterr().err.splitlines()[-1]


def test_too_few_films_none_at_all_and_a_file_that_cannot_be_written_are_errors(films, tmp_path, capsys):
    results, truths = films
    (tmp_path / "empty").mkdir()
    options = ("--truth", truths, "--out", tmp_path / "calibration.json")
    assert "errors of 1 infants are too few" in one_error(capsys, results / "film_1", *options)
    assert "empty has no recording" in one_error(capsys, tmp_path / "empty", *options)
    no_truth = ("--truth", tmp_path / "nothing", "--out", tmp_path / "calibration.json")
    assert "no film of" in one_error(capsys, results, *no_truth)
    assert not (tmp_path / "calibration.json").exists()
    (tmp_path / "file").touch()
    into_file = ("--truth", truths, "--out", tmp_path / "file" / "calibration.json")
    assert re.search(r"calibration\.json: cannot be written \(.+\)", one_error(capsys, results, *into_file))


def test_films_of_two_networks_are_an_error(films, tmp_path, capsys):
    results, truths = films
    facts = results / "film_7" / "video.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"network": "network-2"}))
    message = one_error(capsys, results, "--truth", truths, "--out", tmp_path / "calibration.json")
    assert "film_0 and film_7 were predicted with different networks" in message
