"""The choice of frames worth labelling."""

import numpy as np
import pytest
from stick_figures import STICK_FIGURE, stick_figure

from aggpose_jax.labels.choice import Series, choose, jumps, k_means, normalise, scale


def walk(frames=60, seed=0, height=150.0) -> np.ndarray:
    """Returns the keypoints [T, 8, 3] of a stick figure that slowly turns and moves."""
    rng = np.random.default_rng(seed)
    found = np.ones((frames, 8, 3))
    for frame in range(frames):
        found[frame, :, :2] = stick_figure((160 + frame, 120), height, 40 * np.sin(frame / 9 + seed))
    found[..., 2] = rng.uniform(0.85, 0.95, found.shape[:2])
    return found


def series(keypoints, video="film", is_video=True) -> Series:
    return Series(video, keypoints, np.arange(len(keypoints)), is_video)


def test_an_outlier_an_exchange_and_low_scores_are_found():
    keypoints = walk()
    keypoints[20, 6, :2] += 90
    keypoints[40, 6:8] = keypoints[40, [7, 6]]
    keypoints[50, :, 2] = 0.3
    chosen = choose([series(keypoints)], STICK_FIGURE, 3, per_video=3)
    assert {one.row: one.reasons for one in chosen} == {20: ("jump",), 40: ("left-right swap",), 50: ("low score",)}
    assert chosen[0].error >= chosen[1].error >= chosen[2].error > 0.6


def test_frames_after_an_outlier_are_none():
    keypoints = walk()
    keypoints[20, 6, :2] += 90
    jump, exchange = jumps(keypoints, STICK_FIGURE)
    assert np.flatnonzero(jump > 0.3).tolist() == [20]
    assert not (exchange > 0.2).any()


def test_a_swap_is_measured_in_torso_lengths():
    keypoints = np.repeat(walk(1), 4, 0)
    keypoints[2, 6:8] = keypoints[2, [7, 6]]
    distance = np.linalg.norm(keypoints[0, 6, :2] - keypoints[0, 7, :2])
    torso = np.linalg.norm(keypoints[0, 2:4, :2].mean(0) - keypoints[0, 4:6, :2].mean(0))
    assert scale(keypoints, STICK_FIGURE) == pytest.approx(torso)
    assert jumps(keypoints, STICK_FIGURE)[1] == pytest.approx([0, 0, 2 * distance / torso, 0])


def test_no_more_than_the_limit_of_a_video_is_chosen():
    videos = [series(walk(seed=number), f"film{number}") for number in range(4)]
    chosen = choose(videos, STICK_FIGURE, 8)  # at most 2 · (8 // 4) of each
    assert len(chosen) == 8
    assert max(np.bincount([one.series for one in chosen])) <= 4
    assert max(np.bincount([one.series for one in choose(videos, STICK_FIGURE, 8, per_video=2)])) == 2
    assert len(choose(videos, STICK_FIGURE, 8, per_video=1)) == 4


def test_near_copies_and_repeated_frames_without_a_pose_are_not_chosen():
    still = np.repeat(walk(1), 30, 0)
    assert len(choose([series(still)], STICK_FIGURE, 5, per_video=5)) == 1
    missing = np.full((30, 8, 3), np.nan)
    (chosen,) = choose([series(missing)], STICK_FIGURE, 5, per_video=5)
    assert chosen.reasons == ("no pose",)


def test_chosen_poses_differ():
    keypoints = walk(200)
    chosen = choose([series(keypoints)], STICK_FIGURE, 10, per_video=10)
    poses = normalise(keypoints, STICK_FIGURE)[[one.row for one in chosen]]
    distance = np.linalg.norm(poses[:, None] - poses, axis=-1).mean(-1)
    assert len(chosen) == 10
    assert distance[~np.eye(10, dtype=bool)].min() >= 0.05


def test_two_persons_of_a_video_share_its_limit_and_give_a_frame_once():
    both = [series(walk(seed=1)), series(walk(seed=2))]
    rows = [one.row for one in choose(both, STICK_FIGURE, 6, per_video=6)]
    assert len(set(rows)) == len(rows) == 6


def test_images_have_no_jumps_and_no_limit():
    keypoints = walk(20)
    keypoints[10, 6, :2] += 90
    chosen = choose([series(keypoints, "images", is_video=False)], STICK_FIGURE, 8, per_video=1)
    assert len(chosen) == 8
    assert {one.reasons for one in chosen} == {("variety",)}


def test_the_choice_is_the_same_in_every_call_and_does_not_depend_on_the_size_of_the_infant():
    first, again = (choose([series(walk())], STICK_FIGURE, 5) for _ in range(2))
    assert first == again
    larger = walk()
    larger[..., :2] *= 3
    assert [one.row for one in choose([series(larger)], STICK_FIGURE, 5)] == [one.row for one in first]


def test_groups_of_k_means_are_the_clusters():
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(10 * k, 0.1, (20, 2)) for k in range(4)])
    groups = k_means(features, 4)
    assert len({tuple(groups[20 * k : 20 * k + 20]) for k in range(4)}) == 4
    assert all(len(set(groups[20 * k : 20 * k + 20])) == 1 for k in range(4))
    assert set(k_means(np.zeros((5, 2)), 3)) == {0}
