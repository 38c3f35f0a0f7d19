"""The table of persons: values computed by hand, and its file."""

import numpy as np
import pytest
from infant_truth import pose, results, truth

from aggpose_jax.errors import UserError
from aggpose_jax.estimation.evaluation import score
from aggpose_jax.evidence import persons
from aggpose_jax.evidence.units import read_units
from aggpose_jax.pose.keypoints import INFANT_21

NOSE = INFANT_21.names.index("chin")


def table(coco, found):
    evaluation = score(found, coco, INFANT_21)
    return persons.tabulate(evaluation.matches, coco, INFANT_21, read_units(coco, "infant_id"))


def moved_case():
    """Returns a truth and results in which the chin of the first person is 30 pixels right and 40 below."""
    coco = truth([2, 1])
    coco["annotations"][1]["keypoints"][3 * NOSE + 2] = 0
    found = results(coco, [0.0, 0.0])
    found[0]["keypoints"][3 * NOSE] += 30
    found[0]["keypoints"][3 * NOSE + 1] += 40
    return coco, found[:2]


def test_errors_are_distances_in_torso_lengths():
    found = table(*moved_case())
    assert found.torso.tolist() == [100, 100, 100]
    assert found.error[0, NOSE] == pytest.approx(0.5)
    assert found.offset[0, NOSE] == pytest.approx([0.3, 0.4])
    assert np.isnan(found.error[1, NOSE])  # unlabelled
    assert np.isinf(found.error[2]).all()  # no detection
    assert found.error[0].sum() == pytest.approx(0.5)
    assert found.keypoint_oks[0, NOSE] == pytest.approx(np.exp(-(50**2) / (2 * 40000 * 0.1**2)))
    assert found.oks[2] == 0
    assert np.isnan(found.score[2])
    assert found.unit == ["infant 0", "infant 0", "infant 1"]


def test_the_file_holds_the_table(tmp_path):
    written = table(*moved_case())
    persons.write(written, tmp_path / "persons.csv")
    read = persons.read(tmp_path / "persons.csv")
    for name, value in vars(written).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(read, name), value)
        else:
            assert getattr(read, name) == value
    header = (tmp_path / "persons.csv").read_text().splitlines()[0]
    assert header.startswith("image_id,file_name,annotation_id,unit,torso,area,OKS,score,right_eye.visibility")


def test_a_truth_without_torso_has_oks_and_no_errors():
    coco, found = moved_case()
    for annotation in coco["annotations"]:
        annotation["keypoints"][3 * INFANT_21.names.index("left_hip") + 2] = 0
    result = table(coco, found)
    assert np.isnan(result.error).all()
    assert result.oks[0] > 0.9


def test_a_file_that_is_no_table_is_one_line(tmp_path):
    (tmp_path / "persons.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"persons.csv: is not a table of persons"):
        persons.read(tmp_path / "persons.csv")
    with pytest.raises(UserError, match=r"none.csv: cannot be read"):
        persons.read(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(UserError, match=r"empty.csv: is not"):
        persons.read(tmp_path / "empty.csv")


def test_the_pose_of_the_fixture_has_the_torso_it_states():
    assert pose()[INFANT_21.names.index("right_hip"), 1] - pose()[INFANT_21.names.index("right_shoulder"), 1] == 100
