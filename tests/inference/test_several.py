"""Tests of finding and tracking several infants, with a substitute for the network that finds upright stick figures."""

import numpy as np
import pytest
from PIL import Image
from stick_figure_jobs import start
from stick_figures import CROP, STICK_FIGURE, StickFigureFinder, render, stick_figure

from aggpose_jax.data import videos
from aggpose_jax.inference.box_source import BoxSource
from aggpose_jax.inference.several import SEARCH_INTERVAL, SeveralTracker, find_infants
from aggpose_jax.recordings import recording, tidy

SETTINGS = (STICK_FIGURE, CROP[1] / CROP[0])
LEFT, RIGHT = stick_figure((80, 120), 100), stick_figure((240, 120), 100)


def picture(*figures) -> np.ndarray:
    """Returns an image with stick figures, each given by its keypoints [8, 2]."""
    return np.max([render(None), *map(render, figures)], axis=0)


def make_tracker(persons=2) -> SeveralTracker:
    return SeveralTracker(StickFigureFinder().estimate, *SETTINGS, persons)


def assert_found(found: list, *expected) -> None:
    """Checks the keypoints of each number; None for an infant that must not be found."""
    assert [one is None for one in found] == [points is None for points in expected]
    for one, points in zip(found, expected, strict=True):
        if points is not None:
            assert np.linalg.norm(one[:, :2] - points, axis=1).max() < 1.5


@pytest.mark.parametrize("count", [2, 3])
def test_each_infant_is_found_once_from_left_to_right(count):
    found = find_infants(picture(RIGHT, LEFT), StickFigureFinder().estimate, *SETTINGS, count)
    assert_found([one.keypoints for one in found], LEFT, RIGHT)


def test_a_single_infant_is_not_found_twice_and_a_known_one_not_again():
    found = find_infants(picture(LEFT), StickFigureFinder().estimate, *SETTINGS, 2)
    assert_found([one.keypoints for one in found], LEFT)
    known = [np.column_stack([LEFT, np.ones(8)])]
    assert find_infants(picture(LEFT), StickFigureFinder().estimate, *SETTINGS, 1, known) == []
    found = find_infants(picture(LEFT, RIGHT), StickFigureFinder().estimate, *SETTINGS, 2, known)
    assert_found([one.keypoints for one in found], RIGHT)


def test_a_second_pose_of_a_known_infant_is_not_accepted():
    def estimate(crops):
        """A network that finds the left figure in every crop, whatever the crop shows."""
        return np.stack([np.column_stack([LEFT, np.ones(8)]) for _ in crops])

    assert len(find_infants(picture(LEFT), estimate, *SETTINGS, 3)) == 1


def test_numbers_stay_with_infants_who_move_leave_and_come_back():
    tracker = make_tracker()
    for frame in range(20):
        left, right = stick_figure((80 + frame, 120), 100, frame), stick_figure((240, 120 - frame), 100, -frame)
        assert_found(tracker.step(picture(left, right)), left, right)
    for _ in range(SEARCH_INTERVAL):
        assert_found(tracker.step(picture(right)), None, right)
    back = stick_figure((60, 110), 100)
    found = [tracker.step(picture(back, right)) for _ in range(SEARCH_INTERVAL)]
    assert_found(found[-1], back, right)


def test_infants_who_were_both_lost_get_back_their_numbers_by_place():
    tracker = make_tracker()
    tracker.step(picture(LEFT, RIGHT))
    assert_found(tracker.step(picture()), None, None)
    left, right = stick_figure((100, 110), 100), stick_figure((250, 130), 100)
    assert_found(tracker.step(picture(left, right)), left, right)
    assert_found(tracker.step(picture()), None, None)
    assert_found(tracker.step(picture(right)), None, right)


def test_an_infant_who_enters_later_gets_the_next_number_though_on_the_left():
    tracker = make_tracker(3)
    assert_found(tracker.step(picture(RIGHT)), RIGHT, None, None)
    found = [tracker.step(picture(LEFT, RIGHT)) for _ in range(SEARCH_INTERVAL)]
    assert_found(found[-1], RIGHT, LEFT, None)


def test_two_trackers_of_the_same_infant_are_separated():
    for wrong, right in ((0, 1), (1, 0)):
        tracker = make_tracker()
        tracker.step(picture(LEFT, RIGHT))
        tracker._trackers[wrong].view = tracker._trackers[right].view
        assert_found(tracker.step(picture(LEFT, RIGHT)), LEFT, RIGHT)


def test_the_person_in_the_table_is_the_same_infant_in_every_frame(tmp_path):
    def images():
        for frame in range(30):
            left, right = stick_figure((80, 100 + frame), 100), stick_figure((240 - frame, 120), 100)
            yield 0.1 * frame, picture(*([left] * (not 5 <= frame < 10)), right)

    videos.write_frames(images(), tmp_path / "twins.mp4")
    start(tmp_path / "twins.mp4", tmp_path / "out", box_source=BoxSource(persons=2))
    read = recording.read(tmp_path / "out" / "twins")
    assert read.position.shape == (30, 2, 8, 2)
    x = read.position[..., 0].mean(-1)
    np.testing.assert_allclose(x[:, 1], 240 - np.arange(30), atol=3)
    assert np.isnan(x[5:10, 0]).all()
    assert np.isfinite(x[:5, 0]).all()
    assert np.isfinite(x[-10:, 0]).all()
    np.testing.assert_allclose(x[np.isfinite(x[:, 0]), 0], 80, atol=3)


def test_another_number_of_persons_is_another_job(tmp_path):
    Image.fromarray(picture(RIGHT, LEFT)).save(tmp_path / "a.png")
    start(tmp_path / "a.png", tmp_path / "out", box_source=BoxSource(persons=2))
    poses = tidy.read(tmp_path / "out" / "images" / "keypoints.csv", STICK_FIGURE)
    assert poses.person.tolist() == [0, 1]
    assert_found(list(poses.keypoints), LEFT, RIGHT)
    with pytest.raises(Exception, match=r"another job \(persons was 2, this job has None\)"):
        start(tmp_path / "a.png", tmp_path / "out")


@pytest.mark.parametrize(("figures", "second"), [((LEFT,), 0), ((LEFT, RIGHT), 2)])
def test_an_infant_beside_the_tracked_one_is_noted_in_the_facts_of_the_recording(tmp_path, figures, second):
    frames = ((float(seconds), picture(*figures)) for seconds in (0, 4, 8, 10, 12, 16))
    videos.write_frames(frames, tmp_path / "film.mp4")
    start(tmp_path / "film.mp4", tmp_path / "out")
    facts = recording.read(tmp_path / "out" / "film").facts
    assert (facts.searched, facts.second) == (2, second)  # at 0 and 10 s
