"""Left–right swaps: short excursions are exchanged, single jumps are only named."""

import numpy as np
import pytest
from keypoint_films import BODY, film

from aggpose_jax.timeseries import swaps

WRISTS = [4, 5]  # 200 pixels apart, which is 2 torso lengths
LENGTH = np.array([100.0])


def swapped_film(*spans: tuple[int, int], frames: int = 40, rate: float = 30):
    """Returns the times and positions of a film whose wrists are exchanged in spans of frames."""
    time, position = film(frames, rate)
    for start, end in spans:
        position[start:end, :, WRISTS] = position[start:end, :, WRISTS[::-1]]
    return time, position


def find(time, position, length=LENGTH):
    swapped, unsure = swaps.find(position, time, BODY.flip_pairs, length)
    assert not swapped[:, :, :4].any()
    np.testing.assert_array_equal(swapped[..., 4], swapped[..., 5])
    np.testing.assert_array_equal(unsure[..., 4], unsure[..., 5])
    return np.flatnonzero(swapped[:, 0, 4]).tolist(), np.flatnonzero(unsure[:, 0, 4]).tolist()


@pytest.mark.parametrize("spans", [[(10, 11)], [(10, 17)], [(3, 5), (20, 26)], [(1, 3), (36, 39)]])
def test_excursions_of_up_to_seven_frames_are_exchanged(spans):
    frames = [frame for span in spans for frame in range(*span)]
    assert find(*swapped_film(*spans)) == (frames, [])


def test_a_longer_excursion_is_left_and_both_its_jumps_are_named():
    assert find(*swapped_film((10, 18))) == ([], [10, 18])


@pytest.mark.parametrize(("rate", "longest"), [(5, 1), (25, 6), (60, 14), (240, 55)])
def test_the_longest_excursion_is_the_same_time_at_any_frame_rate(rate, longest):
    assert find(*swapped_film((10, 10 + longest), frames=80, rate=rate))[0] == list(range(10, 10 + longest))
    assert find(*swapped_film((10, 11 + longest), frames=80, rate=rate)) == ([], [10, 11 + longest])


def test_wrong_first_frames_do_not_turn_the_film_around():
    assert find(*swapped_film((0, 5))) == ([], [5])


@pytest.mark.parametrize(("apart", "found"), [(0.16, [10, 11]), (0.14, [])])
def test_points_that_are_close_to_each_other_are_left(apart, found):
    time, position = film(40)
    position[:, 0, WRISTS] = [[200, 250], [200 + 100 * apart, 250]]
    position[10:12, :, WRISTS] = position[10:12, :, WRISTS[::-1]]
    assert find(time, position) == (found, [])


def test_a_swap_is_seen_across_missing_frames():
    time, position = swapped_film((10, 14))
    position[10, :, 4] = np.nan
    position[14:16, :, WRISTS] = np.nan
    assert find(time, position) == ([11, 12, 13, 14, 15], [])


def test_nothing_is_known_across_a_long_gap():
    time, position = swapped_film((10, 40))
    position[10:18, :, WRISTS] = np.nan
    assert find(time, position) == ([], [])


def test_one_keypoint_at_the_place_of_the_other_is_no_swap():
    time, position = film(40)
    position[10:13, :, 5] = position[10:13, :, 4]
    assert find(time, position) == ([], [])


@pytest.mark.parametrize("frames", [1, 2])
def test_short_and_empty_films_have_no_swap(frames):
    time, position = film(frames)
    assert find(time, position) == ([], [])
    assert find(time, np.full_like(position, np.nan)) == ([], [])
    assert find(*swapped_film((10, 12)), np.array([np.nan])) == ([], [])


def test_values_are_exchanged_within_pairs_only():
    swapped = np.zeros((2, 1, 6), bool)
    swapped[1, 0, WRISTS] = True
    permutation = np.array([1, 0, 3, 2, 5, 4])
    values = np.arange(12.0).reshape(2, 1, 6)
    found = swaps.exchange(values, swapped, permutation)
    np.testing.assert_array_equal(found[:, 0], [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 11, 10]])
    both = swaps.exchange(np.stack([values, -values], axis=-1), swapped, permutation)
    np.testing.assert_array_equal(both, np.stack([found, -found], axis=-1))
