"""Patterns of bed sheets and clothes (small tiles that repeat), fields of creases, and sensor noise."""

import colorsys
import functools

import cv2
import numpy as np

TILE = 48

# By default, glibc returns the memory of large arrays to the operating system and page-faults it in again at every
# frame, which takes longer than the rendering. After an array of this size has been freed once, glibc keeps and reuses
# the memory of smaller ones. With other C libraries, this line has no effect.
np.empty(30 << 20, np.uint8)


def colour(hue: float, saturation: float, value: float) -> np.ndarray:
    """Returns the [3] float RGB of 0..255 of a hue in degrees and a saturation and value of 0..1."""
    return 255 * np.array(colorsys.hsv_to_rgb(hue / 360 % 1, saturation, value))


def tile(pattern: str, background: np.ndarray, foreground: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns one period of a pattern of bed sheets or clothes: uint8 [TILE, TILE, 3] RGB.

    `pattern` is a key of `PATTERNS`. It is drawn in the foreground on the background, both colours [3] of 0..255.
    """
    weight = PATTERNS[pattern](rng)[..., None]
    return (background + weight * (foreground - background)).clip(0, 255).astype(np.uint8)


def _blank() -> np.ndarray:
    return np.zeros((TILE, TILE), np.uint8)


def _to_unit_range(drawn: np.ndarray) -> np.ndarray:
    return drawn.astype(np.float32) / 255


def _plain(rng: np.random.Generator) -> np.ndarray:
    return np.zeros((TILE, TILE), np.float32)


def _stripes(rng: np.random.Generator) -> np.ndarray:
    drawn = _blank()
    drawn[: rng.integers(6, 30)] = 255
    if rng.random() < 0.5:
        drawn[36:40] = 160
    return _to_unit_range(drawn)


def _checks(rng: np.random.Generator) -> np.ndarray:
    half = np.arange(TILE) < TILE // 2
    return (half[:, None] ^ half[None, :]).astype(np.float32)


def _dots(rng: np.random.Generator) -> np.ndarray:
    drawn, radius = _blank(), int(rng.integers(4, 10))
    for centre in ((12, 12), (36, 36)):
        cv2.circle(drawn, centre, radius, 255, -1, cv2.LINE_AA)
    return _to_unit_range(drawn)


def _blotches(rng: np.random.Generator) -> np.ndarray:
    coarse = np.pad(rng.random((6, 6), np.float32), ((0, 1), (0, 1)), "wrap")
    smooth = cv2.resize(coarse, (TILE + 8, TILE + 8), interpolation=cv2.INTER_LINEAR)[4:-4, 4:-4]
    return np.clip(3 * smooth - 1, 0, 1)


def _gingham(rng: np.random.Generator) -> np.ndarray:
    half = 0.5 * (np.arange(TILE) < TILE // 2).astype(np.float32)
    return half[:, None] + half[None, :]


def _flowers(rng: np.random.Generator) -> np.ndarray:
    drawn, petals = _blank(), int(rng.integers(4, 7))
    for x, y, size in ((13, 13, 4.0), (37, 35, 5.0)):
        for k in range(petals):
            angle = 2 * np.pi * k / petals
            petal = (round(x + 1.3 * size * np.cos(angle)), round(y + 1.3 * size * np.sin(angle)))
            cv2.circle(drawn, petal, round(0.8 * size), 255, -1, cv2.LINE_AA)
        cv2.circle(drawn, (x, y), 2, 90, -1, cv2.LINE_AA)
    return _to_unit_range(drawn)


def _diamonds(rng: np.random.Generator) -> np.ndarray:
    distance = np.abs(np.arange(TILE) - TILE / 2 + 0.5)
    return np.clip(TILE / 2 - distance[:, None] - rng.uniform(1.0, 1.8) * distance[None, :], 0, 1).astype(np.float32)


def _zigzag(rng: np.random.Generator) -> np.ndarray:
    position = np.arange(TILE)
    wave = np.abs(position % 24 - 12)
    height = (position[:, None] + wave[None, :]) % 24
    return np.clip(rng.uniform(5, 11) - np.abs(height - 12), 0, 1).astype(np.float32)


PATTERNS = {
    "plain": _plain,
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "blotches": _blotches,
    "gingham": _gingham,
    "flowers": _flowers,
    "diamonds": _diamonds,
    "zigzag": _zigzag,
}


def repeat(tile_: np.ndarray, period: float, radius: float) -> np.ndarray:
    """Returns the cloth uint8 [S, S, 3] of a tile repeated with a period in pixels.

    It extends at least `radius` pixels from its centre in each direction.
    """
    side = max(round(period), 4)
    times = int(2 * radius / side) + 2
    return np.tile(cv2.resize(tile_, (side, side), interpolation=cv2.INTER_AREA), (times, times, 1))


def warp(cloth: np.ndarray, angle: float, x: float, y: float, size: tuple[int, int]) -> np.ndarray:
    """Returns an image uint8 [h, w, 3] of a cloth of `repeat`, rotated by an angle and with its centre at (x, y).

    The angle is in radians, clockwise on screen; the size is (width, height) in pixels.
    """
    c, s, half = np.cos(angle), np.sin(angle), len(cloth) / 2
    transform = np.array([[c, -s, x - (c - s) * half], [s, c, y - (s + c) * half]])
    return cv2.warpAffine(cloth, transform, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def folds(rng: np.random.Generator, depth: float, size: tuple[int, int]) -> np.ndarray:
    """Returns the brightness factor float32 [h, w], around 1, of creases and soft folds over a (width, height) area."""
    y, x = np.linspace(0, 1, 30, dtype=np.float32)[:, None], np.linspace(0, 1.33, 40, dtype=np.float32)[None, :]
    x, y = x + 0.15 * np.sin(rng.uniform(2, 5) * y + rng.uniform(0, 6)), y + 0.15 * np.sin(rng.uniform(2, 5) * x)
    angle, position, width, height = rng.uniform(
        np.array([0, -0.2, 0.03, 0.4])[:, None, None, None],
        np.array([np.pi, 1, 0.09, 1])[:, None, None, None],
        (4, 4, 1, 1),
    ).astype(np.float32)
    across = (x * np.cos(angle) + y * np.sin(angle) - position) / width
    field = (across * np.exp(-across * across) * height).sum(axis=0)
    field += 0.25 * cv2.resize(rng.standard_normal((6, 8), np.float32), (40, 30), interpolation=cv2.INTER_CUBIC)
    return cv2.resize(1 + depth * field, size, interpolation=cv2.INTER_CUBIC)


@functools.cache
def grain() -> np.ndarray:
    """Returns the sensor noise uint8 [272, 352, 3] around 128; each frame uses a window of it."""
    noise = np.random.default_rng(0).standard_normal((272, 352, 3), np.float32)
    return (128 + 32 * cv2.GaussianBlur(noise, (3, 3), 0.6) / 0.6).clip(0, 255).astype(np.uint8)
