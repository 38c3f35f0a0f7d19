"""The report of an adaptation, by hand-computed values."""

import numpy as np
import pytest
from made_films import TORSO, make_film
from stick_figures import STICK_FIGURE

from aggpose_jax.adaptation import report
from aggpose_jax.adaptation.selection import Selection


def test_the_selections_of_all_films_are_counted():
    first = Selection(np.ones((2, 8), bool), np.zeros((4, 8), int))
    sure = np.zeros((2, 8), bool)
    sure[0, :2] = True
    refused = np.zeros((4, 8), int)
    refused[1, 0], refused[2, 2:] = 1, 2
    found = report.of_selection([first, Selection(sure, refused)], STICK_FIGURE)
    assert (found["frames_seen"], found["frames_used"]) == (4, 2)
    assert list(found["sure"].values()) == [0.75, 0.75, *[0.5] * 6]
    assert list(found["refused"].values()) == [0, 1, 12, 0]


def test_the_change_is_in_torso_lengths_of_the_first_network(tmp_path):
    before = make_film(tmp_path)
    after = before._replace(
        keypoints=before.keypoints.copy(), straight=before.straight.copy(), mirrored=before.mirrored.copy(), torso=1.0
    )
    after.keypoints[:, :2, 0] += 0.2 * TORSO
    before.mirrored[..., 0] += 0.1 * TORSO
    after.mirrored[..., 1] += 0.05 * TORSO
    after.straight[0] = np.nan  # not found by both, so that the frame counts for neither
    before.mirrored[0] += 1e6
    found = report.of_change([before], [after])
    assert (found["points"], found["mirror_points"]) == (32, 24)
    assert found["distance_median"] == 0
    assert found["distance_95"] == pytest.approx(0.2)
    assert found["moved"] == 0.25
    assert (found["mirror_before"], found["mirror_after"]) == (pytest.approx(0.1), pytest.approx(0.05))


def test_films_that_only_one_network_could_read_are_left_out(tmp_path):
    a, b = make_film(tmp_path, "a"), make_film(tmp_path, "b")
    assert report.of_change([a, b], [b])["points"] == 32
    found = report.of_change([a], [b])
    assert (found["points"], found["moved"], found["mirror_before"]) == (0, None, None)


def test_the_text_states_everything_once(tmp_path):
    film = make_film(tmp_path)
    one = report.of_selection([Selection(np.ones((4, 8), bool), np.zeros((4, 8), int))], STICK_FIGURE)
    content = {
        "rounds": [one, one], "change": report.of_change([film], [film]), "AP": {"val": {"before": 0.25, "after": 0.5}}
    }  # fmt: skip
    text = report.text(content)
    assert "round 2: 4 of 4 frames used" in text
    assert all(name in text for name in STICK_FIGURE.names)
    assert "0.250 before, 0.500 after" in text
    assert text.endswith(report.NOTE)
    nothing = report.text({**content, "change": report.of_change([], []), "AP": {}})
    assert "no keypoint in the same frames" in nothing
