"""What is drawn is where the keypoints say."""

import dataclasses

import numpy as np
import pytest

from aggpose_jax.data.synthetic import SyntheticInfants, parts, scene, textures
from aggpose_jax.data.synthetic.appearance import draw_appearance
from aggpose_jax.data.synthetic.canvas import Canvas, Group
from aggpose_jax.data.synthetic.ranges import TEST, TRAIN
from aggpose_jax.data.synthetic.render import render

UNCOVERED = scene.Occluder("none", np.zeros((0, 6)), np.zeros(3))


def draw(number: int, ranges=TRAIN):
    rng = np.random.default_rng(number)
    return dataclasses.replace(scene.draw_scene(rng, ranges), occluder=UNCOVERED), draw_appearance(rng, ranges)


@pytest.mark.parametrize("ranges", [TRAIN, TEST])
def test_every_keypoint_lies_on_the_body(ranges):
    for number in range(15):
        where, look = draw(number, ranges)
        canvas = Canvas(240, 320, look.light)
        for group in parts.infant(where, look, 0.0):
            canvas.paint(group)
        points = where.keypoints()
        columns, rows = np.rint(points[points[:, 2] > 0, :2]).astype(int).T
        assert (canvas.cover[rows, columns] > 0.3).all()
        assert canvas.cover.mean() < 0.5


def test_eyes_are_drawn_at_the_eyes():
    for number in range(12):
        where, look = draw(number)
        camera = dataclasses.replace(where.camera, scale=150.0, centre=np.array([160.0, 120.0]))
        base = where.body.base.copy()
        base[4] = 0.0  # the face looks up
        base[6:16:5] = 0.3  # the arms hang down
        where = dataclasses.replace(where, camera=camera, body=dataclasses.replace(where.body, base=base))
        red = np.array([255.0, 0, 0])
        look = dataclasses.replace(
            look, eyes_open=True, iris=red, mosaic=0, noise=0.0, blur=0.3, skin=look.skin * 0 + 90
        )
        image = render(where, look, 0.0, (0, 0)).astype(int)
        red_excess = (image[..., 0] - image[..., 1]) * (np.abs(image[..., 1] - image[..., 2]) < 25)
        for x, y, _ in where.keypoints()[[0, 9]]:
            window = red_excess[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2]
            assert window.max() > 40


def test_a_toy_is_drawn_where_it_covers():
    source = SyntheticInfants(200)
    number = next(i for i in range(200) if source._scene(i).occluder.kind == "toy")
    where, look = source._scene(number), draw_appearance(np.random.default_rng(0), TRAIN)
    bare = dataclasses.replace(where, occluder=UNCOVERED)
    covered, uncovered = (render(w, look, 0.0, (0, 0)).astype(int) for w in (where, bare))
    changed = np.abs(covered - uncovered).sum(axis=-1) > 60
    x, y, *_ = where.occluder.shapes[0]
    assert changed[int(np.clip(y, 0, 239)), int(np.clip(x, 0, 319))]
    assert changed.mean() < 0.15


def test_the_nearer_capsule_is_seen():
    canvas, picture = Canvas(40, 40, np.array([0.0, 0, 1])), np.zeros((3, 40, 40), np.float32)
    near = np.array([[20.0, 20, 9, 5, 20, 20, 9, 5]])
    far = np.array([[5.0, 20, 0, 4, 35, 20, 0, 4]])
    canvas.paint(Group(near, np.array([[0.0, 0, 0], [200, 0, 0]])))
    canvas.paint(Group(far, np.array([[0.0, 0, 0], [0, 200, 0]])))
    canvas.add_to(picture)
    assert picture[:, 20, 20].argmax() == 0
    assert picture[:, 20, 8].argmax() == 1
    assert picture[:, 30, 20].max() == 0


def test_mosaic_leaves_blocks():
    where, look = draw(3)
    clear = render(where, dataclasses.replace(look, mosaic=0), 0.0, (0, 0))
    blocks = render(where, dataclasses.replace(look, mosaic=8), 0.0, (0, 0))
    (x, y), radius = parts.face_window(where, 0.0)
    rows, columns = np.nonzero((clear != blocks).any(axis=-1))
    assert rows.size > radius**2
    assert np.abs(columns - x).max() <= radius + 1
    assert np.abs(rows - y).max() <= radius + 1


@pytest.mark.parametrize("pattern", sorted(textures.PATTERNS))
def test_patterns_repeat_without_a_seam(pattern):
    tile = textures.tile(pattern, np.zeros(3), np.full(3, 255.0), np.random.default_rng(1))
    assert tile.shape == (textures.TILE, textures.TILE, 3)
    across = np.abs(np.diff(np.tile(tile, (1, 2, 1)).astype(int), axis=1)).mean(axis=(0, 2))
    assert across[textures.TILE - 1] <= across[: textures.TILE - 1].max() + 1
