"""The program `aggpose evaluate` with --truth, --by, --against, --raters and --compare: output, files and errors."""

import csv
import json

import pytest
from infant_truth import results, truth
from programs import run

from aggpose_jax import evaluate
from aggpose_jax.errors import UserError


@pytest.fixture
def folder(tmp_path):
    """A folder with a truth of 6 infants, results of two systems, and annotations of another rater."""
    coco = truth([2, 3, 1, 2, 2, 2], skin=["dark", "light"] * 3)
    (tmp_path / "truth.json").write_text(json.dumps(coco))
    for name, factor in (("a", 1.0), ("b", 2.0)):
        found = results(coco, [factor * error for error in (0.03, 0.06, 0.05, 0.09, 0.12, 0.02)])
        (tmp_path / f"{name}.json").write_text(json.dumps(found))
    (tmp_path / "rater.json").write_text(json.dumps(coco))
    return tmp_path


def call(*argv: str) -> None:
    evaluate.main(evaluate.parser().parse([str(argument) for argument in argv]))


def test_everything_at_once_in_a_process(folder):
    ended = run(
        "evaluate", f"--results={folder / 'a.json'}", f"--truth={folder / 'truth.json'}", "--by=infant_id",
        f"--against={folder / 'b.json'}", f"--raters={folder / 'rater.json'}", f"--out={folder / 'out'}",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "95 % interval" in ended.stdout
    assert "6 infants can never reach p = .05 with Holm's correction over 21 keypoints; that needs 10" in ended.stdout
    assert '"sigmas": [0.0000, ' in ended.stdout
    assert "nan" not in ended.stdout
    stored = json.loads((folder / "out" / "metrics.json").read_text())
    assert stored["evidence"]["by"] == "infant_id"
    assert stored["evidence"]["infants"] == 6
    ap = stored["evidence"]["metrics"]["AP"]
    assert ap["value"] == pytest.approx(stored["metrics"]["AP"])
    assert ap["low"] < ap["value"] < ap["high"]
    assert stored["evidence"]["metrics"]["APM"]["value"] is None
    assert stored["against"]["metrics"]["PCK@0.1"]["p"] == 2 / 64
    assert stored["raters"]["chin"]["sigma"] == 0
    with (folder / "out" / "persons.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert rows[0]["unit"] == "infant 0"
    card = (folder / "out" / "card.md").read_text()
    for part in (
        "TRIPOD+AI",
        "| infants | 6 (field infant_id) |",
        "skin dark",
        "PCK@0.1",
        "scipy",
        "makes no diagnosis",
    ):
        assert part in card
    assert "nan" not in card


def test_a_folder_or_table_of_an_evaluation_can_be_compared_with(folder, capsys):
    common = (f"--truth={folder / 'truth.json'}", "--by=infant_id")
    call(f"--results={folder / 'b.json'}", f"--out={folder / 'b'}", *common)
    outputs = []
    for other in ("b.json", "b", "b/persons.csv"):
        capsys.readouterr()
        call(f"--results={folder / 'a.json'}", f"--against={folder / other}", *common)
        outputs.append(capsys.readouterr().out.partition("difference from")[2].splitlines())
    assert outputs[0][1:] == outputs[1][1:]
    assert any(line.startswith("AP ") for line in outputs[0])
    assert not any(line.startswith("AP ") for line in outputs[2])
    pck = [next(line for line in lines if line.startswith("PCK@0.1")) for lines in outputs]
    assert pck[0].split() == pck[2].split()


def test_systems_are_compared_in_a_table(folder, capsys):
    call("--compare", folder / "a.json", folder / "b.json", f"--truth={folder / 'truth.json'}", "--by=infant_id",
         f"--out={folder / 'out'}")  # fmt: skip
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0] == "|  | AP | p | AR | p |"
    assert lines[2].startswith("| a.json | ")
    assert lines[3].startswith("| b.json | ")
    assert lines[3].count(" to ") == 2
    assert "6 infants" in lines[-1]
    assert (folder / "out" / "comparison.md").read_text() == out


def test_without_units_the_table_has_no_intervals(folder, capsys):
    call("--compare", folder / "a.json", folder / "b.json", f"--truth={folder / 'truth.json'}")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "|  | AP | AR |"
    assert " to " not in lines[2]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--results=a.json", "--truth=truth.json", "--against=b.json"], "--against: .*--by"),
        (["--results=none.json", "--truth=truth.json"], "none.json: no such file"),
        (["--results=a.json", "--truth=none.json"], "none.json cannot be read"),
        (["--results=a.json", "--truth=truth.json", "--keypoint-set=no.json"], "no.json"),
        (["--results=a.json", "--keypoint-set=infant_21", "--config=coco_l"], "--keypoint-set belongs to --truth"),
        (["--results=a.json", "--truth=truth.json", "--by=infant_id", "--against=none"], "none: no such file"),
        (["--results=a.json", "--truth=truth.json", "--by=infant_id", "--against=.", "--out=."], "--out would replace"),
        (["--checkpoint=run", "--truth=truth.json"], "--truth"),
    ],
)
def test_what_does_not_fit_is_one_line(folder, monkeypatch, argv, message):
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match=message) as raised:
        call(*argv)
    assert "\n" not in str(raised.value)


def test_one_infant_has_values_and_says_why_there_are_no_intervals(tmp_path, capsys):
    coco = truth([3])
    (tmp_path / "truth.json").write_text(json.dumps(coco))
    (tmp_path / "a.json").write_text(json.dumps(results(coco, [0.05])))
    call(f"--results={tmp_path / 'a.json'}", f"--truth={tmp_path / 'truth.json'}", "--by=infant_id")
    out = capsys.readouterr().out
    assert "1 infants: intervals need 4" in out
    assert " to " not in out
    assert "nan" not in out.partition("95 % interval")[2]
