"""Labels of DeepLabCut projects."""

import csv

import numpy as np
import pytest
import yaml
from label_sets import assert_same, make_labels

from aggpose_jax.errors import UserError
from aggpose_jax.labels import deeplabcut
from aggpose_jax.pose.keypoints import INFANT_21

FILES = ("film/img000.png", "film/img007.png", "walk/img02.png")
HEADER = "scorer,Ann,Ann,Ann,Ann\nbodyparts,earL,earL,earR,earR\ncoords,x,y,x,y\n"
ROWS = "labeled-data/film/img3.png,1.5,2.5,3,4\nlabeled-data/film/img12.png,,,NaN,\n"


def write_project(folder, table=HEADER + ROWS, name="CollectedData_Ann.csv", **config):
    (folder / "labeled-data" / "film").mkdir(parents=True, exist_ok=True)
    (folder / "labeled-data" / "film" / name).write_text(table)
    settings = {"Task": "ears", "scorer": "Ann", "bodyparts": ["earR", "earL"], "skeleton": [["earL", "earR"]]}
    (folder / "config.yaml").write_text(yaml.safe_dump({**settings, **config}))
    return folder


def test_what_is_written_is_read_back(tmp_path):
    labels = make_labels(persons=(1, 0, 1), files=FILES)
    deeplabcut.write(labels, tmp_path)
    found = deeplabcut.read(tmp_path)
    assert_same(labels, found, hidden=False)
    assert (found.keypoint_set.names, found.keypoint_set.skeleton) == (INFANT_21.names, INFANT_21.skeleton)
    assert found.keypoint_set.flip_pairs == INFANT_21.flip_pairs
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert config["bodyparts"] == list(INFANT_21.names)
    assert [video.rpartition("/")[2] for video in config["video_sets"]] == ["film.mp4", "walk.mp4"]
    assert {video["crop"] for video in config["video_sets"].values()} == {"0, 320, 0, 240"}


def test_rows_of_a_written_table_have_three_columns_for_the_image(tmp_path):
    deeplabcut.write(make_labels(persons=(1, 0, 1), files=FILES), tmp_path)
    with open(tmp_path / "labeled-data" / "film" / "CollectedData_aggpose.csv", newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0][:4] == ["scorer", "", "", "aggpose"]
    assert [line[0] for line in lines[:3]] == ["scorer", "bodyparts", "coords"]
    assert lines[4] == ["labeled-data", "film", "img007.png", *42 * [""]]


@pytest.mark.parametrize("is_new", [False, True])
def test_both_styles_of_the_index_are_read(tmp_path, is_new):
    table = HEADER + ROWS
    if is_new:
        table = table.replace("ed-data/film/", "ed-data,film,").replace(",Ann", ",,,Ann", 1)
        table = table.replace("bodyparts,", "bodyparts,,,").replace("coords,", "coords,,,")
    labels = deeplabcut.read(write_project(tmp_path, table))
    assert labels.keypoint_set.name == "ears"
    assert labels.keypoint_set.names == ("earR", "earL")  # the order of config.yaml, not of the table
    assert (labels.keypoint_set.flip_pairs, labels.keypoint_set.skeleton) == (((0, 1),), ((1, 0),))
    assert [image.file for image in labels.images] == ["film/img3.png", "film/img12.png"]
    np.testing.assert_array_equal(labels.images[0].persons, [[(3, 4, 2), (1.5, 2.5, 2)]])
    assert not len(labels.images[1].persons)
    assert labels.folder == tmp_path / "labeled-data"


def test_two_persons_in_an_image_cannot_be_written(tmp_path):
    with pytest.raises(UserError, match=r"film/img007\.png has 2 persons"):
        deeplabcut.write(make_labels(persons=(1, 2, 1), files=FILES), tmp_path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (HEADER.replace("bodyparts", "individuals,a,a,a,a\nbodyparts") + ROWS, "several individuals"),
        (HEADER.replace("Ann,Ann\n", "Ann,Bob\n") + ROWS, "several scorers .Ann, Bob"),
        ("scorer,a,a,a\nbodyparts,b,b,b\ncoords,x,y,likelihood\n0,1,2,.9\n", "likelihood"),
        (HEADER.replace("x,y,x,y", "x,y,y,x") + ROWS, "columns"),
        (HEADER.replace("earR", "earL") + ROWS, "columns"),
        (HEADER + "labeled-data/film/img3.png,1,2,3\n", "not a table"),
        (HEADER + "labeled-data/film/img3.png,1,2,3,a\n", "not a table.*'a'"),
        (HEADER + "labeled-data/film/img3.png,1,2,3,inf\n", "not finite"),
        (HEADER + "labeled-data/film/img3.png,1,2,3,1e9\n", "too large"),
        (HEADER + ROWS + ROWS, r"film/img12\.png is labelled twice|film/img3\.png is labelled twice"),
        (HEADER, "no frame is labelled"),
        (HEADER + "labeled-data/film/img3.png,,,,\n", "no frame is labelled"),
        ("", "not a table"),
    ],
)
def test_a_fault_of_a_table_is_one_line(tmp_path, table, message):
    with pytest.raises(UserError, match=message) as error:
        deeplabcut.read(write_project(tmp_path, table))
    assert "\n" not in str(error.value)


def test_a_fault_of_a_project_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"config\.yaml cannot be read"):
        deeplabcut.read(tmp_path)
    (tmp_path / "config.yaml").write_text("Task: a\nscorer: Ann\n")
    with pytest.raises(UserError, match="labeled-data is missing"):
        deeplabcut.read(tmp_path)
    (tmp_path / "labeled-data" / "film").mkdir(parents=True)
    with pytest.raises(UserError, match="no video has"):
        deeplabcut.read(tmp_path)
    write_project(tmp_path)
    write_project(tmp_path, name="CollectedData_Bob.csv")
    with pytest.raises(UserError, match=r"several scorers.*_Ann\.csv, CollectedData_Bob\.csv"):
        deeplabcut.read(tmp_path)
    write_project(tmp_path, multianimalproject=True)
    with pytest.raises(UserError, match="several animals"):
        deeplabcut.read(tmp_path)
    (tmp_path / "config.yaml").write_text("a: [1\nb: 2")
    with pytest.raises(UserError, match="not valid YAML") as error:
        deeplabcut.read(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "table", "frames", "points", "first"),
    [
        ("dlc_openfield", "m4s1/CollectedData_Pranav.csv", 116, 464, [21.521, 265.428, 33.819, 265.941]),
        ("dlc_reaching", "reachingvideo1/CollectedData_Mackenzie.csv", 55, 233, [185.25174, 610.36228]),
    ],
)
def test_public_projects_are_read(test_data, name, table, frames, points, first):
    if not (test_data / name).exists():
        pytest.skip(f"{name} is not in AGGPOSE_TEST_DATA")
    labels = deeplabcut.read(test_data / name)
    persons = np.concatenate([image.persons for image in labels.images])
    assert (len(labels.images), int((persons[..., 2] > 0).sum())) == (frames, points)
    np.testing.assert_allclose(persons[0, :, :2].ravel()[: len(first)], first, atol=1e-4)
    with open(test_data / name / "labeled-data" / table, newline="") as file:
        lines = list(csv.reader(file))[3:]
    by_file = {image.file: image for image in labels.images}
    for path, *cells in lines:
        expected = np.reshape([float(cell or 0) for cell in cells], (-1, 2))
        np.testing.assert_array_equal(by_file[path.removeprefix("labeled-data/")].persons[0, :, :2], expected)


@pytest.mark.extras
def test_pandas_reads_the_same(test_data, tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("tables")
    if not (test_data / "dlc_openfield").exists():
        pytest.skip("dlc_openfield is not in AGGPOSE_TEST_DATA")
    labels = deeplabcut.read(test_data / "dlc_openfield")
    table = pandas.read_csv(
        test_data / "dlc_openfield/labeled-data/m4s1/CollectedData_Pranav.csv", header=[0, 1, 2], index_col=0
    )
    persons = np.concatenate([image.persons for image in labels.images])
    np.testing.assert_allclose(persons[..., :2].reshape(len(table), -1), table.to_numpy(float))
    deeplabcut.write(labels._replace(images=tuple(i._replace(size=(480, 640)) for i in labels.images)), tmp_path)
    written = tmp_path / "labeled-data" / "m4s1" / "CollectedData_aggpose.csv"
    from_csv = pandas.read_csv(written, header=[0, 1, 2], index_col=[0, 1, 2])
    from_h5 = pandas.read_hdf(written.with_suffix(".h5"))
    assert from_csv.columns.equals(from_h5.columns)
    assert from_csv.index.tolist() == from_h5.index.tolist()
    np.testing.assert_allclose(from_csv.to_numpy(), from_h5.to_numpy(), atol=1e-4)
    written.unlink()
    assert_same(labels, deeplabcut.read(tmp_path))
