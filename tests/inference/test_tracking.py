"""Tests of finding and tracking an infant, with a substitute for the network that finds upright stick figures only."""

import numpy as np
import pytest
from stick_figures import CROP, STICK_FIGURE, StickFigureFinder, render, stick_figure

from aggpose_jax.data.views import View, body_roll
from aggpose_jax.inference import tracking
from aggpose_jax.inference.tracking import Tracker, find_infant, next_view, overlap, windows

ASPECT = CROP[1] / CROP[0]


def distance(found: np.ndarray, points: np.ndarray) -> float:
    """Returns the largest distance in pixels of the keypoints that score above 0.5."""
    confident = found[:, 2] > 0.5
    return float(np.linalg.norm(found[confident, :2] - points[confident], axis=1).max())


def make_tracker() -> Tracker:
    return Tracker(StickFigureFinder().estimate, STICK_FIGURE, ASPECT)


def scored(points) -> np.ndarray:
    return np.column_stack([points, np.ones(len(points))])


@pytest.mark.parametrize("roll", [0, 45, 90, 180, 270])
@pytest.mark.parametrize(("scale", "center"), [(0.2, (90, 60)), (0.4, (500, 150)), (0.9, (330, 235))])
def test_infant_of_any_size_and_roll_is_found(roll, scale, center):
    points = stick_figure(center, 480 * scale, roll)
    found = find_infant(render(points, (480, 640)), StickFigureFinder().estimate, STICK_FIGURE, ASPECT)
    assert distance(found.keypoints, points) < 0.01 * 480
    assert abs((found.view.rotation - roll + 180) % 360 - 180) <= tracking.MAX_TILT + 1


@pytest.mark.parametrize("size", [(240, 320), (1, 1), (4320, 7680)])
def test_nothing_is_found_in_an_empty_image(size):
    assert find_infant(render(None, size), StickFigureFinder().estimate, STICK_FIGURE, ASPECT) is None


def test_infant_partly_outside_the_image_is_found():
    points = stick_figure((160, 180), 200)  # the ankles are below the image
    keypoints = find_infant(render(points), StickFigureFinder().estimate, STICK_FIGURE, ASPECT).keypoints
    assert (keypoints[:, 2] > 0.5).tolist() == [True] * 6 + [False] * 2
    assert distance(keypoints, points) < 1


def test_body_roll_is_the_angle_of_the_torso_or_none():
    for roll in (0, 30, 90, -90, 179):
        assert body_roll(scored(stick_figure(roll=roll)), STICK_FIGURE) == pytest.approx(roll)
    uncertain = scored(stick_figure())
    uncertain[4, 2] = 0.1
    assert body_roll(uncertain, STICK_FIGURE) is None


def test_next_view_is_the_padded_box_of_keypoints_with_a_high_score():
    keypoints = scored(stick_figure())
    keypoints[:, :2] = np.array([(10, 20), (30, 40), (50, 60), (20, 60), (20, 90), (20, 100), (45, 110), (900, 900)])
    keypoints[7, 2] = 0.1  # a low score
    view = next_view(keypoints, View(np.zeros(2), np.ones(2)), STICK_FIGURE, 0.75)
    np.testing.assert_allclose(view.center, (30, 65))
    np.testing.assert_allclose(view.size, (90 * 0.75 * 1.25, 90 * 1.25))
    assert view.rotation == 0
    keypoints[1:, 2] = 0
    assert next_view(keypoints, view, STICK_FIGURE, 0.75) is None


LEANS = [(20, 0, 0), (-29, 0, 0), (40, 0, 40), (185, 170, 170), (170, 0, 170)]


@pytest.mark.parametrize(("roll", "before", "after"), LEANS)
def test_view_rotates_only_if_the_body_leans(roll, before, after):
    points = stick_figure((100, 100), 80, roll)
    view = next_view(scored(points), View(np.zeros(2), np.ones(2), before), STICK_FIGURE, 0.75)
    assert view.rotation == pytest.approx(after)
    if after == roll:  # the body is upright in its crop and 80 pixels tall
        np.testing.assert_allclose(view.center, (100, 100))
        np.testing.assert_allclose(view.size, (75, 100))


def test_windows_match_values_computed_by_hand():
    upright = windows((240, 320), 0.75, 1.0, 0)
    assert [view.center.tolist() for view in upright] == [[89.5, 119.5], [159.5, 119.5], [229.5, 119.5]]
    assert {tuple(view.size) for view in upright} == {(180, 240)}
    (rotated,) = windows((240, 320), 0.75, 1.0, 90)
    np.testing.assert_allclose(rotated.center, (159.5, 119.5))
    np.testing.assert_allclose(rotated.size, (240, 320))


def test_overlap_matches_values_computed_by_hand():
    a = View(np.array([50.0, 50]), np.array([20.0, 40]))
    assert overlap(a, a) == 1
    assert overlap(a, a._replace(center=np.array([60.0, 50]))) == pytest.approx(400 / 1200)
    assert overlap(a, a._replace(rotation=90)) == 0
    rotated = View(np.array([50.0, 50]), np.array([20.0, 40]), 90.0)  # its long side is along x
    assert overlap(rotated, rotated._replace(center=np.array([70.0, 50]))) == pytest.approx(400 / 1200)


def test_tracking_needs_one_crop_per_frame():
    finder = StickFigureFinder()
    tracker = Tracker(finder.estimate, STICK_FIGURE, ASPECT)
    for frame in range(30):
        points = stick_figure((150 + frame, 120), 150, 3 * frame)
        assert distance(tracker.step(render(points)), points) < 1
        if frame == 0:
            finder.crops = 0
    assert finder.crops <= 29 + 4  # one more crop where the view rotated


def test_rotation_check_corrects_an_infant_detected_upside_down():
    def estimate(crops):
        """A network that finds an upright figure in any figure, but with a higher score if the figure is upright."""
        keypoints = StickFigureFinder().estimate(crops)
        keypoints[..., 2] = np.where(keypoints[..., 2] > 0.5, 1.0, 0.5)
        for points, (_, view) in zip(keypoints, crops, strict=True):
            if points[0, 2] < 1:  # it finds the eyes where the ankles are
                points[:, :2] = stick_figure(view.center, 0.8 * view.size[1], view.rotation)
        return keypoints

    points = stick_figure((160, 120), 150, 180)
    wrong = tracking.Detection(
        scored(stick_figure((160, 120), 150, 0)), View(np.array([160, 120]), np.array([140, 187.5]))
    )
    wrong.keypoints[:, 2] = 0.5
    assert distance(tracking.best_rotation(render(points), wrong, estimate, STICK_FIGURE, ASPECT).keypoints, points) < 1
    tracker = Tracker(estimate, STICK_FIGURE, ASPECT)
    tracker.view, tracker._tracked = wrong.view, 1
    found = [tracker.step(render(points)) for _ in range(tracking.ROTATION_CHECK_INTERVAL)]
    assert np.linalg.norm(found[0][0, :2] - points[0]) > 100
    assert distance(found[-1], points) < 1


def test_infant_is_found_again_after_blank_frames():
    tracker, points = make_tracker(), stick_figure((100, 120), 120, 20)
    assert tracker.step(render(points)) is not None
    assert all(tracker.step(render(None)) is None for _ in range(30))
    moved = stick_figure((220, 100), 140, 200)
    assert distance(tracker.step(render(moved)), moved) < 1


def test_after_ten_frames_without_an_infant_every_fifth_is_searched():
    finder, searched = StickFigureFinder(), []
    tracker = Tracker(lambda crops: searched.append(tracker.lost) or finder.estimate(crops), STICK_FIGURE, ASPECT)
    assert all(tracker.step(render(None)) is None for _ in range(32))
    assert sorted(set(searched)) == [*range(10), 10, 15, 20, 25, 30]
    found = [tracker.step(render(stick_figure((100, 120), 120))) for frame in range(32, 36)]
    assert [one is not None for one in found] == [False, False, False, True]


@pytest.mark.parametrize(
    "after", [stick_figure((230, 60), 80, 180), stick_figure((150, 130), 150, 180), stick_figure((60, 180), 100, 90)]
)
def test_infant_is_found_in_the_frame_after_a_cut(after):
    tracker = make_tracker()
    tracker.step(render(stick_figure((100, 120), 150)))
    assert distance(tracker.step(render(after)), after) < 1


def test_small_infant_that_comes_back_is_found_within_ten_frames():
    tracker, points = make_tracker(), stick_figure((60, 60), 40)
    frames = [render(None)] * 3 + [render(points)] * tracking.SMALL_SEARCH_INTERVAL
    found = [tracker.step(frame) for frame in frames]
    assert found[2] is None
    assert found[-1] is not None


def test_small_infant_that_comes_back_after_a_long_time_is_found_within_fifty_frames():
    tracker, points = make_tracker(), stick_figure((60, 60), 40)
    found = [tracker.step(render(points if frame > 12 else None)) for frame in range(51)]
    assert [frame for frame, one in enumerate(found) if one is not None] == [50]


def test_box_does_not_drift_in_two_thousand_frames():
    tracker = make_tracker()
    for frame in range(2000):
        t = frame / 100
        points = stick_figure(
            (80 + 20 * np.sin(t), 60 + 8 * np.cos(2 * t)), 70 + 10 * np.sin(3 * t), 90 * np.sin(0.5 * t)
        )
        assert distance(tracker.step(render(points, (120, 160))), points) < 1.5
