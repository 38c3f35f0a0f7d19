"""Tests of NWB files, read back with pynwb."""

import sys

import numpy as np
import pytest
from recording_files import ONE, TIMES, TWO, make_recording

from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import INFANT_21, KeypointSet
from aggpose_jax.recordings import nwb


@pytest.mark.extras
@pytest.mark.parametrize(
    ("persons", "names"), [(ONE, ["PoseEstimation"]), (TWO, ["PoseEstimation_person_0", "PoseEstimation_person_1"])]
)
def test_pynwb_reads_the_same_frames_and_values(tmp_path, persons, names):
    pynwb = pytest.importorskip("pynwb")
    pytest.importorskip("ndx_pose")
    made = make_recording(persons)
    nwb.write(made, tmp_path / "a.nwb")
    with pynwb.NWBHDF5IO(str(tmp_path / "a.nwb"), "r") as file:
        behavior = file.read().processing["behavior"]
        assert sorted(behavior.data_interfaces) == [*names, "Skeletons"]
        for person, name in enumerate(names):
            poses = behavior[name]
            assert poses.source_video.external_file[:].tolist() == ["films/ä.mp4"]
            assert (poses.source_software, poses.source_software_version) == ("aggpose_jax", "0.2.0")
            assert poses.skeleton.nodes[:].tolist() == list(INFANT_21.names)
            assert poses.skeleton.edges[:].tolist() == [list(limb) for limb in INFANT_21.skeleton]
            assert set(poses.pose_estimation_series) == set(INFANT_21.names)
            for k, keypoint in enumerate(INFANT_21.names):
                series = poses[keypoint]
                np.testing.assert_array_equal(series.data[:], made.position[:, person, k])
                np.testing.assert_array_equal(series.confidence[:], made.confidence[:, person, k])
                np.testing.assert_array_equal(series.timestamps[:], TIMES)


@pytest.mark.extras
def test_names_with_signs_of_paths_and_a_set_without_a_skeleton_are_written(tmp_path):
    pynwb = pytest.importorskip("pynwb")
    pytest.importorskip("ndx_pose")
    nwb.write(
        make_recording(keypoint_set=KeypointSet("a/b", ("hand/left", "foot:1"), (), (), (1, 1), ())), tmp_path / "a"
    )
    assert not list(tmp_path.glob(".*"))
    with pynwb.NWBHDF5IO(str(tmp_path / "a"), "r") as file:
        poses = file.read().processing["behavior"]["PoseEstimation"]
        assert set(poses.pose_estimation_series) == {"hand_left", "foot_1"}
        assert poses["hand_left"].data.shape == (4, 2)


@pytest.mark.parametrize("missing", ["pynwb", "ndx_pose"])
def test_a_missing_library_is_one_line_that_names_the_extra(tmp_path, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, "ndx_pose", None)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError, match=r"need (pynwb|ndx_pose): pip install 'aggpose_jax\[nwb\]'"):
        nwb.write(make_recording(), tmp_path / "a.nwb")
    assert not list(tmp_path.iterdir())
