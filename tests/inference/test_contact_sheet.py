"""Tests of contact sheets: evenly spaced frames, and those of the lowest scores."""

import numpy as np
import pytest

from aggpose_jax.inference.contact_sheet import ContactSheet

TILE = (240 + 22 + 6, 320 + 6)  # distance of the tiles in pixels: a frame with its caption, and the gap
EVEN_WIDTH = 4 * TILE[1] + 6


def make_sheet(scores, lost=()) -> np.ndarray:
    """Returns the sheet of a video whose frame i has the grey level i."""
    sheet = ContactSheet()
    for i, score in enumerate(scores):
        sheet.add(np.full((48, 64, 3), i % 256, np.uint8), f"frame {i}", score, i in lost)
        assert len(sheet._first) <= 24
        assert len(sheet._lowest) <= 24
    return sheet.draw()


def levels(image: np.ndarray) -> np.ndarray:
    """Returns the grey level in the middle of each tile of a grid without its title, row by row."""
    return image[6 + 22 + 120 :: TILE[0], 6 + 160 :: TILE[1], 0].astype(int)


def test_sheet_samples_a_video_evenly_in_bounded_memory():
    image = make_sheet([1.0] * 250)
    assert image.shape == (22 + 3 * TILE[0] + 6, EVEN_WIDTH + 2 * TILE[1] + 6, 3)
    shown = levels(image[22:, :EVEN_WIDTH]).ravel()
    assert shown[0] == 0
    assert shown[-1] >= 230
    assert (np.diff(shown) >= 16).all()


@pytest.mark.parametrize("count", [13, 23, 24, 25, 200, 250])
def test_the_frames_of_the_lowest_scores_are_beside_them_the_lowest_first(count):
    scores = np.ones(count)
    worst = [count - 1, 0, count // 2]
    scores[worst] = 0.1, 0.2, 0.3
    shown = levels(make_sheet(scores)[22:, EVEN_WIDTH:])
    assert shown.shape == (3, 2)
    assert shown.ravel()[:3].tolist() == worst


def test_a_run_of_lost_frames_does_not_fill_the_sheet():
    scores = np.linspace(0.5, 1, 240)
    scores[100:200] = 0
    scores[220] = 0.4
    shown = levels(make_sheet(scores)[22:, EVEN_WIDTH:]).ravel()
    assert (np.diff(sorted(shown)) >= 8).all()


def test_a_short_video_is_shown_completely_and_only_once():
    image = make_sheet([0.5] * 5)
    assert image.shape == (2 * TILE[0] + 6, EVEN_WIDTH, 3)
    assert levels(image).ravel()[:5].tolist() == [0, 1, 2, 3, 4]


def test_a_lost_frame_has_a_red_border():
    image = make_sheet([0.5, 0.0], lost=(1,))
    edges = image[6 + 22 + 120, [6, 6 + 319, 6 + TILE[1], 6 + TILE[1] + 319]]
    assert edges.tolist() == [[0, 0, 0], [0, 0, 0], [255, 80, 70], [255, 80, 70]]


def test_images_of_different_sizes_share_a_sheet():
    sheet = ContactSheet()
    for i in range(20):
        sheet.add(np.full((1 + 30 * i, 50, 3), i, np.uint8), "image", i, False)
    image = sheet.draw()
    assert image.dtype == np.uint8
    assert image.shape[1] > EVEN_WIDTH - 800
