"""Tests of netCDF files for movement, read by scipy, and by movement itself where it is installed."""

import json
import os
import subprocess

import numpy as np
import pytest
from recording_files import ONE, TIMES, TWO, make_recording
from scipy.io import netcdf_file

from aggpose_jax.pose.keypoints import INFANT_21, KeypointSet
from aggpose_jax.recordings import movement

# movement needs Python 3.12 and 1.3 GB, so it has its own environment, whose Python this variable names.
PYTHON = os.environ.get("AGGPOSE_MOVEMENT_PYTHON")
READ = """
import json, sys
import xarray
from movement.kinematics import compute_speed
from movement.validators.datasets import ValidPosesInputs
data = xarray.open_dataset(sys.argv[1])
ValidPosesInputs.validate(data)
assert compute_speed(data.position).shape == data.confidence.shape
print(json.dumps({
    "position": data.position.transpose("time", "individual", "keypoint", "space").values.tolist(),
    "confidence": data.confidence.transpose("time", "individual", "keypoint").values.tolist(),
    "time": data.time.values.tolist(),
    "keypoint": data.keypoint.values.tolist(),
    "individual": data.individual.values.tolist(),
    "attributes": {key: str(value) for key, value in data.attrs.items()},
}))
"""


def words(variable) -> list[str]:
    return [row.tobytes().rstrip(b"\0").decode() for row in variable[:]]


def test_the_file_has_the_dimensions_and_coordinates_of_movement(tmp_path):
    made = make_recording(TWO)
    movement.write(made, tmp_path / "a.nc")
    with netcdf_file(tmp_path / "a.nc", mmap=False) as file:
        assert file.variables["position"].dimensions == ("time", "space", "keypoint", "individual")
        assert file.variables["confidence"].dimensions == ("time", "keypoint", "individual")
        position = file.variables["position"][:]
        np.testing.assert_array_equal(file.variables["time"][:], TIMES)
        assert words(file.variables["space"]) == ["x", "y"]
        assert words(file.variables["keypoint"]) == list(INFANT_21.names)
        assert words(file.variables["individual"]) == ["person_0", "person_1"]
        assert file.variables["keypoint"]._Encoding == b"utf-8"
        assert (file.ds_type, file.time_unit, file.source_software) == (b"poses", b"seconds", b"aggpose_jax 0.2.0")
        assert file.source_file.decode() == "films/ä.mp4"
        assert file.fps == pytest.approx(25)
    assert np.isnan(position[:2]).all()
    assert np.isnan(position[3, ..., 0]).all()
    np.testing.assert_array_equal(position[2, 1, 5], made.poses.keypoints[[0, 1], 5, 1])
    np.testing.assert_array_equal(position[3, 0, :, 1], made.poses.keypoints[2, :, 0])


def test_names_may_have_any_letters_and_one_frame_has_no_rate(tmp_path):
    hands = KeypointSet("hands", ("手", "left_hand"), (), (), (0.05, 0.05), ())
    movement.write(make_recording(((),), hands), tmp_path / "a.nc")
    with netcdf_file(tmp_path / "a.nc", mmap=False) as file:
        assert words(file.variables["keypoint"]) == ["手", "left_hand"]
        assert file.variables["position"].shape == (1, 2, 2, 1)
        assert not hasattr(file, "fps")


@pytest.mark.extras
@pytest.mark.parametrize("persons", [ONE, TWO])
def test_xarray_by_which_movement_opens_files_reads_the_same(tmp_path, persons):
    xarray = pytest.importorskip("xarray")
    made = make_recording(persons)
    movement.write(made, tmp_path / "a.nc")
    with xarray.open_dataset(tmp_path / "a.nc", engine="scipy") as found:
        np.testing.assert_array_equal(
            found.position.transpose("time", "individual", "keypoint", "space"), made.position
        )
        np.testing.assert_array_equal(found.confidence.transpose("time", "individual", "keypoint"), made.confidence)
        np.testing.assert_array_equal(found.time, TIMES)
        assert found.keypoint.values.tolist() == list(INFANT_21.names)
        assert found.space.values.tolist() == ["x", "y"]


@pytest.mark.extras
@pytest.mark.skipif(not PYTHON, reason="AGGPOSE_MOVEMENT_PYTHON names no Python with movement")
@pytest.mark.parametrize("persons", [ONE, TWO])
def test_movement_opens_the_file(tmp_path, persons):
    made = make_recording(persons)
    movement.write(made, tmp_path / "a.nc")
    ended = subprocess.run(
        [PYTHON, "-c", READ, tmp_path / "a.nc"], env={"HOME": str(tmp_path)}, check=True, capture_output=True, text=True
    )
    read = json.loads(ended.stdout.splitlines()[-1])
    np.testing.assert_array_equal(read["position"], made.position)
    np.testing.assert_array_equal(read["confidence"], made.confidence)
    np.testing.assert_array_equal(read["time"], TIMES)
    assert read["keypoint"] == list(INFANT_21.names)
    assert read["individual"] == [f"person_{n}" for n in range(made.position.shape[1])]
    assert read["attributes"]["ds_type"] == "poses"
    assert float(read["attributes"]["fps"]) == pytest.approx(25)
