"""series.csv: its lines, reading it back, and tables that were edited."""

import dataclasses

import numpy as np
import pytest
from keypoint_films import BODY, Certainty, film, record

from aggpose_jax.errors import UserError
from aggpose_jax.timeseries import table
from aggpose_jax.timeseries.clean import Options, clean
from aggpose_jax.timeseries.series import Flag


def made(frames: int = 3, keypoint_set=BODY):
    time, position = film(frames)
    position = np.concatenate([position, position + 0.25], axis=1)
    position[0] = np.nan
    position[1, 1] = np.nan
    return clean(record(time, position, keypoint_set=keypoint_set), Options(fill=False), Certainty())


def test_a_line_for_each_keypoint(tmp_path):
    series = made()
    aligned = np.full_like(series.position, np.nan)
    aligned[2, 0, 4] = 1, -0.8
    table.write(series, aligned, tmp_path / "series.csv")
    lines = (tmp_path / "series.csv").read_text().splitlines()
    assert lines[0] == "frame,time,person,keypoint,x,y,x_torso,y_torso,expected_error,flag"
    assert len(lines) == 1 + 3 * 2 * 6
    assert lines[1] == "0,0.000000,0,left_shoulder,,,,,,missing"
    assert lines[1 + 12] == "1,0.033333,0,left_shoulder,240.000,200.000,,,0.2000,ok"
    assert lines[1 + 24 + 4] == "2,0.066667,0,left_wrist,300.000,220.000,1.00000,-0.80000,0.2000,ok"
    assert lines[1 + 24 + 6] == "2,0.066667,1,left_shoulder,240.250,200.250,,,0.2000,ok"


def test_what_is_written_is_read_back(tmp_path):
    series = made()
    series.flag[1, 0] = [Flag.UNSURE, Flag.OUTLIER, Flag.SWAPPED, Flag.FILLED, Flag.MISSING, Flag.OK]
    table.write(series, series.position, tmp_path / "series.csv")
    found = table.read(tmp_path / "series.csv", series.recording)
    np.testing.assert_allclose(found.position, series.position, atol=1e-3)
    np.testing.assert_array_equal(found.flag, series.flag)
    assert found.flag.dtype == np.uint8
    np.testing.assert_allclose(found.expected_error, series.expected_error)


def test_names_may_be_any_text(tmp_path):
    names = ("Schulter, links", 'Schulter "rechts"', "левое бедро", "右の腰", "手首\nleft", "wrist")
    series = made(keypoint_set=dataclasses.replace(BODY, names=names))
    table.write(series, series.position, tmp_path / "ñ.csv")
    np.testing.assert_array_equal(table.read(tmp_path / "ñ.csv", series.recording).flag, series.flag)


def without_a_line(lines):
    return [*lines[:4], *lines[5:]]


def with_a_line_twice(lines):
    return [*lines, lines[-1]]


def with_other_frames(lines):
    return [line.replace("1,0.03", "7,0.03") for line in lines]


def with_an_unknown_flag(lines):
    return [*lines[:-1], lines[-1].replace(",ok", ",good")]


def with_text_in_a_number(lines):
    return [*lines[:-1], lines[-1].replace("100.250", "left")]


def without_a_column(lines):
    return [line.rsplit(",", 1)[0] for line in lines]


def empty(lines):
    return []


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (without_a_line, 5),
        (with_a_line_twice, 38),
        (with_other_frames, 14),
        (with_an_unknown_flag, 37),
        (with_text_in_a_number, 37),
        (without_a_column, 2),
        (empty, 2),
    ],
)
def test_an_edited_table_is_named_with_its_line(tmp_path, edit, line):
    series, path = made(), tmp_path / "series.csv"
    table.write(series, series.position, path)
    path.write_text("\n".join(edit(path.read_text().splitlines())) + "\n")
    with pytest.raises(UserError, match=rf"series\.csv: line {line} is damaged") as error:
        table.read(path, series.recording)
    assert "\n" not in str(error.value)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(UserError, match=r"series\.csv"):
        table.read(tmp_path / "series.csv", made().recording)
