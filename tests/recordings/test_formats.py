"""Tests of writing poses and reading them with this package, pycocotools and pandas."""

import csv
import json

import numpy as np
import pytest
from pycocotools.coco import COCO

from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import COCO_17, INFANT_21
from aggpose_jax.recordings import coco, deeplabcut, openpose, tidy
from aggpose_jax.recordings.poses import Poses, collect


def make_poses(keypoint_set=INFANT_21, counts=(1, 0, 1), files=()) -> Poses:
    """Returns random poses; `counts` are the numbers of persons in each frame."""
    rng = np.random.default_rng(0)
    found = [rng.uniform(1, 300, (count, len(keypoint_set), 3)) for count in counts]
    for poses in found:
        poses[..., 2] /= 300
    times = [np.nan] * len(counts) if files else [0, 0.04, 0.1, 0.5][: len(counts)]
    return collect(keypoint_set, times, found, None, files)


def assert_same(expected: Poses, found: Poses, times=True, atol=1e-9) -> None:
    np.testing.assert_array_equal(expected.numbers[expected.row], found.numbers[found.row])
    np.testing.assert_array_equal(expected.person, found.person)
    np.testing.assert_allclose(expected.keypoints, found.keypoints, atol=atol)
    if times:
        np.testing.assert_allclose(expected.times, found.times, atol=1e-6)


@pytest.mark.parametrize("counts", [(1, 0, 1), (2, 0, 3), (0, 0)])
def test_written_poses_are_read_back(tmp_path, counts):
    poses = make_poses(counts=counts)
    tidy.write(poses, tmp_path / "a.csv")
    assert_same(poses, tidy.read(tmp_path / "a.csv", INFANT_21), atol=1e-3)
    coco.write(poses, tmp_path / "a.json")
    assert_same(poses, coco.read(tmp_path / "a.json", INFANT_21), times=False)
    deeplabcut.write(poses, tmp_path / "b.csv")
    assert_same(poses, deeplabcut.read(tmp_path / "b.csv", INFANT_21), times=False, atol=1e-3)
    (tmp_path / "open").mkdir()
    openpose.write(poses, tmp_path / "open", "film")
    read = openpose.read(tmp_path / "open", INFANT_21)
    stored = [k for k, name in enumerate(INFANT_21.names) if name in openpose.BODY_25]
    assert len(stored) == 16
    np.testing.assert_allclose(read.keypoints[:, stored], poses.keypoints[:, stored], atol=1e-3)
    assert not np.delete(read.keypoints, stored, axis=1).any()


def test_tidy_table_has_a_line_per_keypoint(tmp_path):
    poses = make_poses()
    tidy.write(poses, tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[0] == "frame,time,person,keypoint,x,y,score"
    x, y, score = poses.keypoints[0, 0]
    assert lines[1] == f"0,0.000000,0,right_eye,{x:.3f},{y:.3f},{score:.4f}"
    assert lines[22] == "1,0.040000,,,,,"  # a frame without a person
    assert lines[23].startswith("2,0.100000,0,right_eye,")
    assert len(lines) == 1 + 21 + 1 + 21


def test_image_names_are_stored(tmp_path):
    poses = make_poses(files=("b.jpg", "c/d.png", "ü, e.jpg"))
    tidy.write(poses, tmp_path / "a.csv")
    assert tidy.read(tmp_path / "a.csv", INFANT_21).files == poses.files
    with open(tmp_path / "a.csv", newline="") as file:
        assert [line["image"] for line in csv.DictReader(file)][-1] == "ü, e.jpg"
    coco.write(poses, tmp_path / "a.json")
    assert [r["file_name"] for r in json.loads((tmp_path / "a.json").read_text())] == ["b.jpg", "ü, e.jpg"]


def test_pycocotools_reads_the_results(tmp_path):
    poses = make_poses(counts=(1, 2, 0))
    coco.write(poses, tmp_path / "a.json")
    truth = COCO()
    truth.dataset = {"images": [{"id": i} for i in range(3)], "annotations": [], "categories": [{"id": 1}]}
    truth.createIndex()
    results = truth.loadRes(str(tmp_path / "a.json"))
    assert [len(results.getAnnIds(imgIds=[i])) for i in range(3)] == [1, 2, 0]
    np.testing.assert_allclose(results.loadAnns(3)[0]["keypoints"], poses.keypoints[2].ravel())


def test_deeplabcut_table_has_the_header_of_one_or_several_individuals(tmp_path):
    poses = make_poses()
    deeplabcut.write(poses, tmp_path / "a.csv")
    lines = [line.split(",") for line in (tmp_path / "a.csv").read_text().splitlines()]
    assert [line[:4] for line in lines[:3]] == [
        ["scorer", *3 * ["aggpose_jax"]],
        ["bodyparts", *3 * ["right_eye"]],
        ["coords", "x", "y", "likelihood"],
    ]
    assert lines[4] == ["1", *63 * ["nan"]]
    assert lines[5][:2] == ["2", f"{poses.keypoints[1, 0, 0]:.4f}"]
    deeplabcut.write(make_poses(counts=(2,)), tmp_path / "b.csv")
    lines = [line.split(",") for line in (tmp_path / "b.csv").read_text().splitlines()]
    assert lines[1][0] == "individuals"
    assert lines[1][63:65] == ["individual1", "individual2"]


def test_openpose_files_have_the_keypoints_of_body_25(tmp_path):
    poses = make_poses(COCO_17)
    openpose.write(poses, tmp_path, "film")
    assert sorted(path.name for path in tmp_path.iterdir())[-1] == "film_000000000002_keypoints.json"
    (person,) = json.loads((tmp_path / "film_000000000000_keypoints.json").read_text())["people"]
    body = np.reshape(person["pose_keypoints_2d"], (25, 3))
    np.testing.assert_allclose(body[0], poses.keypoints[0, 0], atol=1e-4)  # nose
    np.testing.assert_allclose(body[1, :2], poses.keypoints[0, [5, 6], :2].mean(0), atol=1e-4)  # neck
    assert body[1, 2] == pytest.approx(poses.keypoints[0, [5, 6], 2].min(), abs=1e-4)
    np.testing.assert_allclose(body[11], poses.keypoints[0, 16], atol=1e-4)  # right ankle
    assert not body[19:].any()
    assert json.loads((tmp_path / "film_000000000001_keypoints.json").read_text())["people"] == []


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (coco.read, '{"a": 1}', r"/file\b.* COCO"),
        (coco.read, '[{"image_id": 1, "keypoints": [1, 2, 3]}]', r"/file\b.* 1 .*infant_21.* 21\b"),
        (tidy.read, "a,b\n1,2\n", r"/file\b.*infant_21"),
        (tidy.read, "frame,time,person,keypoint,x,y,score\n0,0,0,nose,1,2,3\n", r"/file\b.*infant_21"),
        (deeplabcut.read, "a,b\n1,2\n", r"/file\b.*DeepLabCut"),
        (deeplabcut.read, "scorer,a,a,a\nbodyparts,b,b,b\ncoords,x,y,likelihood\n0,1,2,3\n", r"/file\b.*infant_21"),
    ],
)
def test_file_of_another_format_is_named(tmp_path, read, text, message):
    (tmp_path / "file").write_text(text)
    with pytest.raises(UserError, match=message):
        read(tmp_path / "file", INFANT_21)
    with pytest.raises(UserError, match=r"/none\b"):
        read(tmp_path / "none", INFANT_21)


@pytest.mark.extras
@pytest.mark.parametrize("counts", [(1, 0, 1), (2, 0, 3)])
def test_pandas_reads_csv_and_hdf5_tables(tmp_path, counts):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("tables")
    poses = make_poses(counts=counts)
    tidy.write(poses, tmp_path / "a.csv")
    table = pandas.read_csv(tmp_path / "a.csv")
    assert len(table) == 21 * len(poses.row) + 1
    assert table.groupby("frame").time.first().tolist() == [0, 0.04, 0.1]
    np.testing.assert_allclose(table.x.dropna(), poses.keypoints[..., 0].ravel(), atol=1e-3)
    levels = [0, 1, 2] if counts[0] == 1 else [0, 1, 2, 3]
    deeplabcut.write(poses, tmp_path / "b.csv")
    deeplabcut.write_h5(poses, tmp_path / "b.h5")
    from_csv = pandas.read_csv(tmp_path / "b.csv", header=levels, index_col=0)
    from_h5 = pandas.read_hdf(tmp_path / "b.h5")
    assert from_csv.columns.equals(from_h5.columns)
    np.testing.assert_allclose(from_csv.to_numpy(float), from_h5.to_numpy(float), atol=1e-3)
    with pandas.HDFStore(tmp_path / "b.h5", "r") as store:  # the one that pandas 2 can read from pandas 3
        assert store.get_storer(deeplabcut.KEY).format_type == "fixed"
    assert_same(poses, deeplabcut.read_h5(tmp_path / "b.h5", INFANT_21), times=False)


@pytest.mark.extras
def test_pandas_reads_a_deeplabcut_table_whose_infant_enters_late(tmp_path):
    pandas = pytest.importorskip("pandas")
    poses = make_poses(counts=(0, 0, 1))
    deeplabcut.write(poses, tmp_path / "a.csv")
    table = pandas.read_csv(tmp_path / "a.csv", header=[0, 1, 2], index_col=0)
    assert table.index.tolist() == [0, 1, 2]
    assert table.iloc[:2].isna().all(axis=None)
    np.testing.assert_allclose(table.iloc[2].to_numpy(float), poses.keypoints[0].ravel(), atol=1e-4)
