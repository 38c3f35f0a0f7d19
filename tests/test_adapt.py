"""The program `aggpose adapt`, on a tiny network and tiny films."""

import json

import numpy as np
import pytest
from tiny import write_run

from aggpose_jax import adapt, cli
from aggpose_jax.adaptation import films, pseudo_labels
from aggpose_jax.adaptation.selection import REASONS, Selection
from aggpose_jax.data import writers
from aggpose_jax.data.synthetic import SyntheticInfants, SyntheticMovement
from aggpose_jax.errors import UserError
from aggpose_jax.estimation.checkpoints import last_finished
from aggpose_jax.inference.sources import Source

SMALL = ("--config.steps=2", "--config.batch_size=2", "--config.eval_batch_size=2", "--config.flip_test=False")


def run(*arguments) -> None:
    cli.run(adapt.parser, adapt.main, [*map(str, arguments)])


def one_error(capsys, *arguments) -> str:
    """Returns the last line of standard error of a call that ends with exit status 1."""
    with pytest.raises(SystemExit) as end:
        run(*arguments)
    assert end.value.code == 1
    return capsys.readouterr().err.splitlines()[-1]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("network")
    write_run(folder)
    return folder


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """A film of three frames, one of a single frame, and a file that is no film."""
    folder = tmp_path_factory.mktemp("films")
    source = SyntheticMovement(2, 3)
    for name, start, count in (("a", 0, 3), ("b", 3, 1)):
        writers.write_video((source[start + i]["image"] for i in range(count)), folder / f"{name}.mp4", 30)
    (folder / "bad.mp4").write_bytes(b"nothing")
    return folder


def parse(*arguments):
    return adapt.parser().parse([*map(str, arguments)])


def test_a_workdir_is_that_of_one_job(tmp_path):
    sources = [Source("a", (tmp_path / "a.mp4",))]
    given = ["a.mp4", "--init-from=x", "--workdir", tmp_path / "run"]
    adapt.open_job(parse(*given), sources, "digest")
    adapt.open_job(parse(*given, "--rounds=3"), sources, "digest")
    others = {
        "network": (parse(*given), sources, "other"),
        "films": (parse(*given), [*sources, Source("b", (tmp_path / "b.mp4",))], "digest"),
        "labels": (parse(*given, "--labels=mine"), sources, "digest"),
        "config": (parse(*given, "--config.steps=5"), sources, "digest"),
    }
    for key, call in others.items():
        with pytest.raises(UserError, match=f"{tmp_path / 'run'}.* other {key}, .*--workdir"):
            adapt.open_job(*call)


def test_a_folder_of_other_files_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match="other files"):
        adapt.open_job(parse("a.mp4", "--init-from=x", "--workdir", tmp_path), [], "digest")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--init-from=nowhere"], ["nowhere", "no such run"]),
        (["--config.data_dir=x"], ["data_dir", "leave it out"]),
        (["--labels=nowhere"], ["nowhere", "missing"]),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(arguments, parts, network, recordings, tmp_path, capsys):
    line = one_error(capsys, recordings, "--workdir", tmp_path / "run", "--init-from", network, *arguments)
    assert all(part in line for part in parts)
    assert not (tmp_path / "run").exists()


def test_labels_of_another_keypoint_set_are_refused(network, recordings, tmp_path, capsys):
    labels = tmp_path / "labels"
    (labels / "train").mkdir(parents=True)
    (labels / "annotations").mkdir()
    content = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "dog", "keypoints": ["nose"]}]}
    (labels / "annotations" / "person_keypoints_train.json").write_text(json.dumps(content))
    given = ["--init-from", network, "--workdir", tmp_path / "run", "--labels", labels]
    line = one_error(capsys, recordings, *given)
    assert "person_keypoints_train.json" in line
    assert "21 keypoints" in line
    assert not (tmp_path / "run").exists()


def test_images_are_left_out(tmp_path, capsys):
    writers.write_coco(SyntheticInfants(1), tmp_path / "data", "train")
    with pytest.raises(UserError, match="no video"):
        adapt.find_films(parse(tmp_path / "data", "--init-from=x", "--workdir", tmp_path / "run"))
    assert "left out 1 images" in capsys.readouterr().out


def test_a_network_that_is_sure_of_nothing_changes_nothing(network, recordings, tmp_path, capsys):
    given = ["--init-from", network, "--workdir", tmp_path / "run", "--config.flip_test=False"]
    line = one_error(capsys, recordings / "a.mp4", *given)
    assert line.startswith("error: round 1: the network is sure of no frame (0 of 3 frames used")
    assert "nothing was trained" in line
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["given", adapt.JOB]


def test_a_student_that_is_sure_of_nothing_leaves_the_run_before(tmp_path):
    rounds = [{"frames_used": used, "frames_seen": 4, "refused": {"uncertain": 5}} for used in (1, 0)]
    adapt._check_used(rounds[:1], tmp_path)
    with pytest.raises(UserError, match=f"round 2: .*0 of 4 .*5 uncertain.*{tmp_path / 'round_1' / 'run'} is the last"):
        adapt._check_used(rounds, tmp_path)


def test_films_that_cannot_be_read_at_all_end_the_program(network, recordings, tmp_path, capsys):
    line = one_error(capsys, recordings / "bad.mp4", "--init-from", network, "--workdir", tmp_path / "run")
    assert "bad.mp4" in line


@pytest.mark.slow
def test_two_rounds_with_labels_give_a_run_and_a_report(network, recordings, tmp_path, capsys, monkeypatch):
    """The network is random; that it is sure of all points that it finds is only assumed."""

    def all_found(keypoints, mirrored, *_, **__):
        sure = np.isfinite(keypoints + mirrored).all(-1)
        return Selection(sure, np.zeros((len(REASONS), sure.shape[1]), int))

    monkeypatch.setattr(pseudo_labels, "select", all_found)
    for split, count in (("train", 2), ("val", 2)):
        writers.write_coco(SyntheticInfants(count), tmp_path / "labels", split)
    workdir = tmp_path / "run"
    given = [recordings, "--init-from", network, "--workdir", workdir, "--labels", tmp_path / "labels", *SMALL]
    with pytest.raises(SystemExit) as end:
        run(*given)
    assert end.value.code == 1
    out, err = capsys.readouterr()
    assert "1 of 3 films" in err.splitlines()[-1]
    assert "bad.mp4" in err.splitlines()[-1]
    assert f"--checkpoint {workdir / 'round_2' / 'run'}" in out.splitlines()[-1]
    report = json.loads((workdir / adapt.REPORT).read_text())
    assert report["films"] == ["a", "b"]
    assert [one["frames_seen"] for one in report["rounds"]] == [4, 4]
    assert set(report["AP"]["val"]) == {"before", "after"}
    assert [last_finished(workdir / f"round_{number}" / "run") for number in (1, 2)] == [2, 2]

    monkeypatch.setattr(films, "estimate_both", None)  # what is finished is not done again
    monkeypatch.setattr(adapt.student.loop, "train", None)
    with pytest.raises(SystemExit):
        run(*given)
    assert json.loads((workdir / adapt.REPORT).read_text()) == report
