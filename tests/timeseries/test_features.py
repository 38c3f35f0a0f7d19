"""Movement features of paths and angles that are known."""

import numpy as np
import pytest

from aggpose_jax.pose.keypoints import COCO_17, INFANT_21
from aggpose_jax.timeseries import features as movement

TIME = np.arange(300) / 30
REST = {  # torso units of the left side: elbows and knees are bent at right angles
    **{"shoulder": (0.3, -1), "elbow": (0.8, -1), "wrist": (0.8, -0.4)},
    **{"hip": (0.2, 0), "knee": (0.7, 0), "ankle": (0.7, 0.6)},
}


def body(names=COCO_17.names, frames=300) -> np.ndarray:
    """Returns the positions [T, K, 2] of an infant at rest; keypoints that are not in REST are missing."""
    position = np.full((frames, len(names), 2), np.nan)
    for part, (x, y) in REST.items():
        for side, sign in (("left", 1), ("right", -1)):
            position[:, names.index(f"{side}_{part}")] = sign * x, y
    return position


def at(name: str) -> int:
    return COCO_17.names.index(name)


def of(position: np.ndarray, time=TIME, names=COCO_17.names) -> dict[str, float]:
    return movement.features(position, time, names)


def test_the_list_has_every_quantity_of_every_limb_and_joint():
    found = of(body())
    assert len(found) == 4 * 12 + 2 * 2 + 8 * 6 + 4
    path = ("x_median", "y_iqr", "speed_median", "x_velocity_iqr", "y_acceleration_iqr", "entropy_5s")
    for name in (*path, "curvature_median", "amplitude_0.9-1.8hz"):
        assert f"left_wrist_{name}" in found
        assert f"right_ankle_{name}" in found
    for name in ("mean", "sd", "entropy_5s", "velocity_median", "velocity_iqr", "acceleration_iqr"):
        assert f"right_knee_angle_{name}" in found
    assert {"wrists_x_correlation", "ankles_y_correlation", "shoulders_angle_correlation"} <= found.keys()


def test_an_infant_at_rest():
    found = of(body())
    assert (found["left_wrist_x_median"], found["right_wrist_x_median"]) == pytest.approx((0.8, -0.8))
    assert found["left_wrist_y_median"] == pytest.approx(-0.4)
    for name in ("left_ankle_x_iqr", "left_ankle_speed_median", "left_ankle_entropy_5s", "left_ankle_x_velocity_iqr"):
        assert found[name] == pytest.approx(0, abs=1e-9)
    assert found["left_elbow_angle_mean"] == pytest.approx(90)
    assert found["right_hip_angle_mean"] == pytest.approx(90 - np.degrees(np.arctan(0.1)))
    assert found["left_shoulder_angle_sd"] == pytest.approx(0, abs=1e-9)
    assert np.isnan(found["wrists_x_correlation"])  # neither moves
    assert np.isnan(found["left_wrist_curvature_median"])


def test_a_wrist_on_a_circle_has_its_speed_curvature_spread_and_amplitude():
    position, turn = body(), 2 * np.pi * 1.2 * TIME
    position[:, at("left_wrist")] += 0.1 * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    found = of(position)
    slower = np.sin(2 * np.pi * 1.2 / 30) / (2 * np.pi * 1.2 / 30)  # gain of central differences
    assert found["left_wrist_speed_median"] == pytest.approx(0.1 * 2 * np.pi * 1.2 * slower, rel=1e-3)
    assert found["left_wrist_curvature_median"] == pytest.approx(10, rel=1e-3)
    quarter = 2 * 0.1 * np.sin(np.pi / 4)
    assert found["left_wrist_x_iqr"] == pytest.approx(quarter, rel=0.05)
    assert found["left_wrist_y_velocity_iqr"] == pytest.approx(quarter * 2 * np.pi * 1.2 * slower, rel=0.05)
    expected = quarter * (2 * np.pi * 1.2 * slower) ** 2
    assert found["left_wrist_y_acceleration_iqr"] == pytest.approx(expected, rel=0.05)
    assert found["left_wrist_amplitude_0.9-1.8hz"] == pytest.approx(0.1 * np.sqrt(2), rel=0.02)
    assert found["right_wrist_amplitude_0.9-1.8hz"] == pytest.approx(0, abs=1e-9)


def test_an_elbow_that_swings_has_the_statistics_of_its_angle():
    position, bend = body(), np.radians(90 + 20 * np.sin(2 * np.pi * TIME))
    for side, sign in (("left", 1), ("right", -1)):
        reach = np.stack([-sign * np.cos(bend), np.sin(bend)], axis=-1)
        position[:, at(f"{side}_wrist")] = position[:, at(f"{side}_elbow")] + 0.6 * reach
    found = of(position)
    assert found["left_elbow_angle_mean"] == pytest.approx(90, abs=0.01)
    assert found["left_elbow_angle_sd"] == pytest.approx(20 / np.sqrt(2), rel=1e-3)
    slower = np.sin(2 * np.pi / 30) / (2 * np.pi / 30)
    expected = 20 * 2 * np.pi * slower * np.cos(np.radians(48))  # the median of |cos| at multiples of 12°
    assert found["left_elbow_angle_velocity_median"] == pytest.approx(expected, rel=1e-3)
    assert found["elbows_angle_correlation"] == pytest.approx(1)
    assert found["wrists_x_correlation"] == pytest.approx(-1)
    assert found["wrists_y_correlation"] == pytest.approx(1)


def test_entropy_is_that_of_rounded_values_of_five_seconds():
    values = np.tile([0.101, 0.099, 0.2, 0.3], 75)  # the first two are equal when rounded
    assert movement.entropy(values, 0.01) == pytest.approx(1.5 * np.log(2), abs=1e-3)
    gaps = np.insert(values, slice(0, 300, 3), np.nan)
    assert movement.entropy(gaps, 0.01) == movement.entropy(values, 0.01)
    assert movement.entropy(np.concatenate([values, values + 1]), 0.01) == movement.entropy(values, 0.01)
    assert np.isnan(movement.entropy(values[:149], 0.01))


def test_features_do_not_depend_on_the_frame_rate():
    position = body()
    position[:, at("left_wrist"), 0] += 0.3 * np.sin(2 * np.pi * 0.5 * TIME)
    time = np.arange(600) / 60
    twice = body(frames=600)
    twice[:, at("left_wrist"), 0] += 0.3 * np.sin(2 * np.pi * 0.5 * time)
    once, found = of(position), of(twice, time)
    for name in ("left_wrist_x_iqr", "left_wrist_speed_median", "left_wrist_entropy_5s", "left_elbow_angle_sd"):
        assert found[name] == pytest.approx(once[name], rel=0.02), name


def test_missing_keypoints_and_too_few_frames_give_nan_under_the_same_names():
    everything = of(body())
    alone = of(body()[:, :7], names=COCO_17.names[:7])  # nose to shoulders
    assert alone.keys() == everything.keys()
    assert np.isnan(list(alone.values())).all()
    for frames in (1, 2, 29):
        few = of(body(frames=frames), TIME[:frames])
        assert few.keys() == everything.keys()
        assert np.isnan(list(few.values())).all()
    assert np.isnan(list(of(np.full((300, 17, 2), np.nan)).values())).all()


def test_names_may_be_spelt_otherwise_and_belong_to_another_set():
    spelt = tuple(name.replace("_", " ").title() for name in COCO_17.names)
    assert of(body(), names=spelt) == pytest.approx(of(body()), nan_ok=True)
    assert of(body(INFANT_21.names), names=INFANT_21.names) == pytest.approx(of(body()), nan_ok=True)


def test_the_size_place_and_direction_in_the_image_do_not_matter():
    position = body()
    position[:, at("left_wrist"), 0] += 0.3 * np.sin(2 * np.pi * 0.5 * TIME)
    turned = 40 * position[..., ::-1] * [1, -1] + [100, 50]  # by a quarter turn
    persons = np.stack([turned, np.full_like(turned, np.nan)], axis=1)
    first, second = movement.of_persons(persons, persons, TIME, COCO_17)
    assert first == pytest.approx(of(position), nan_ok=True, abs=1e-9)
    assert np.isnan(list(second.values())).all()


@pytest.mark.parametrize(
    ("feature", "unit"),
    [
        ("left_wrist_x_median", "torso lengths"),
        ("left_wrist_speed_median", "torso lengths/s"),
        ("left_ankle_y_velocity_iqr", "torso lengths/s"),
        ("left_ankle_y_acceleration_iqr", "torso lengths/s²"),
        ("left_ankle_curvature_median", "1/torso lengths"),
        ("left_ankle_amplitude_0.9-1.8hz", "torso lengths"),
        ("left_ankle_entropy_5s", "nats"),
        ("left_knee_angle_entropy_5s", "nats"),
        ("left_knee_angle_sd", "degrees"),
        ("left_knee_angle_velocity_iqr", "degrees/s"),
        ("left_knee_angle_acceleration_iqr", "degrees/s²"),
        ("knees_angle_correlation", "1"),
    ],
)
def test_units(feature, unit):
    assert feature in of(body())
    assert movement.unit(feature) == unit
