"""Tests that the body is rendered where its keypoints are."""

import dataclasses

import numpy as np
import pytest

from aggpose_jax.data.synthetic import SyntheticInfants, parts, scene, textures
from aggpose_jax.data.synthetic.appearance import sample_appearance
from aggpose_jax.data.synthetic.canvas import Canvas, Group
from aggpose_jax.data.synthetic.ranges import TEST, TRAIN
from aggpose_jax.data.synthetic.render import render

NO_OCCLUDER = scene.Occluder("none", np.zeros((0, 6)), np.zeros(3))


def sample_scene_and_appearance(number: int, ranges=TRAIN):
    rng = np.random.default_rng(number)
    return dataclasses.replace(scene.sample_scene(rng, ranges), occluder=NO_OCCLUDER), sample_appearance(rng, ranges)


@pytest.mark.parametrize("ranges", [TRAIN, TEST])
def test_every_keypoint_lies_on_the_body(ranges):
    for number in range(15):
        scene_, appearance = sample_scene_and_appearance(number, ranges)
        canvas = Canvas(240, 320, appearance.light)
        for group in parts.infant_groups(scene_, appearance, 0.0):
            canvas.paint(group)
        points = scene_.keypoints()
        columns, rows = np.rint(points[points[:, 2] > 0, :2]).astype(int).T
        assert (canvas.cover[rows, columns] > 0.3).all()
        assert canvas.cover.mean() < 0.5


def test_eyes_are_rendered_at_the_eye_keypoints():
    for number in range(12):
        scene_, appearance = sample_scene_and_appearance(number)
        camera = dataclasses.replace(scene_.camera, scale=150.0, centre=np.array([160.0, 120.0]))
        base = scene_.body.base.copy()
        base[4] = 0.0  # the face looks up
        base[6:16:5] = 0.3  # the arms hang down
        scene_ = dataclasses.replace(scene_, camera=camera, body=dataclasses.replace(scene_.body, base=base))
        red = np.array([255.0, 0, 0])
        appearance = dataclasses.replace(
            appearance, eyes_open=True, iris=red, mosaic=0, noise=0.0, blur=0.3, skin=appearance.skin * 0 + 90
        )
        image = render(scene_, appearance, 0.0, (0, 0)).astype(int)
        red_excess = (image[..., 0] - image[..., 1]) * (np.abs(image[..., 1] - image[..., 2]) < 25)
        for x, y, _ in scene_.keypoints()[[0, 9]]:
            window = red_excess[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2]
            assert window.max() > 40


def test_a_toy_is_rendered_where_it_occludes():
    source = SyntheticInfants(200)
    number = next(i for i in range(200) if source._scene(i).occluder.kind == "toy")
    scene_, appearance = source._scene(number), sample_appearance(np.random.default_rng(0), TRAIN)
    unoccluded = dataclasses.replace(scene_, occluder=NO_OCCLUDER)
    covered, uncovered = (render(s, appearance, 0.0, (0, 0)).astype(int) for s in (scene_, unoccluded))
    changed = np.abs(covered - uncovered).sum(axis=-1) > 60
    x, y, *_ = scene_.occluder.shapes[0]
    assert changed[int(np.clip(y, 0, 239)), int(np.clip(x, 0, 319))]
    assert changed.mean() < 0.15


def test_the_nearer_capsule_is_visible():
    canvas, image = Canvas(40, 40, np.array([0.0, 0, 1])), np.zeros((3, 40, 40), np.float32)
    near = np.array([[20.0, 20, 9, 5, 20, 20, 9, 5]])
    far = np.array([[5.0, 20, 0, 4, 35, 20, 0, 4]])
    canvas.paint(Group(near, np.array([[0.0, 0, 0], [200, 0, 0]])))
    canvas.paint(Group(far, np.array([[0.0, 0, 0], [0, 200, 0]])))
    canvas.add_to(image)
    assert image[:, 20, 20].argmax() == 0
    assert image[:, 20, 8].argmax() == 1
    assert image[:, 30, 20].max() == 0


def test_mosaic_changes_only_the_face():
    scene_, appearance = sample_scene_and_appearance(3)
    without_mosaic = render(scene_, dataclasses.replace(appearance, mosaic=0), 0.0, (0, 0))
    with_mosaic = render(scene_, dataclasses.replace(appearance, mosaic=8), 0.0, (0, 0))
    (x, y), radius = parts.face_window(scene_, 0.0)
    rows, columns = np.nonzero((without_mosaic != with_mosaic).any(axis=-1))
    assert rows.size > radius**2
    assert np.abs(columns - x).max() <= radius + 1
    assert np.abs(rows - y).max() <= radius + 1


@pytest.mark.parametrize("pattern", sorted(textures.PATTERNS))
def test_patterns_tile_without_a_seam(pattern):
    tile = textures.tile(pattern, np.zeros(3), np.full(3, 255.0), np.random.default_rng(1))
    assert tile.shape == (textures.TILE, textures.TILE, 3)
    across = np.abs(np.diff(np.tile(tile, (1, 2, 1)).astype(int), axis=1)).mean(axis=(0, 2))
    assert across[textures.TILE - 1] <= across[: textures.TILE - 1].max() + 1
