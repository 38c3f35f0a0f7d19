"""What cameras, films and people who publish them do to an image: exposure, blur, noise, compression, hidden faces."""

import dataclasses
import functools

import cv2
import numpy as np

from aggpose_jax.data import images
from aggpose_jax.data.synthetic.camera import HEIGHT, WIDTH

_GRAIN = 256
FACES = ("mosaic", "blur", "ellipse", "bar", "noise")


@dataclasses.dataclass(frozen=True)
class Degradation:
    """The faults of one camera and of its recording.

    Attributes:
      gain, gamma: exposure, as factor, and exponent of the tone curve.
      tint: [3] factor of each channel.
      grey: whether the image has no colour, as under infrared light.
      slope: [2] relative change of brightness from the centre to the right and bottom edges.
      defocus: standard deviation of the blur in pixels.
      motion: [2] path in pixels over which the image is smeared, zeros for none.
      shrink: factor of the resolution at which the image was stored, 1 for all of it.
      noise: standard deviation of the sensor noise in grey levels.
      quality: JPEG quality, 1..100, of the compression; 0 for none.
      borders: [2] rows and columns of black bars.
      text: burnt-in text and its place and size, None for none.
      face: one of `FACES`, or None.
      seed: of the noise.
    """

    gain: float
    gamma: float
    tint: np.ndarray
    grey: bool
    slope: np.ndarray
    defocus: float
    motion: np.ndarray
    shrink: float
    noise: float
    quality: int
    borders: np.ndarray
    text: tuple[str, int, int, float] | None
    face: str | None
    seed: int


def sample_degradation(rng: np.random.Generator, strong: bool) -> Degradation:
    """Returns random faults: mild ones, or the whole range of faults if `strong` is true."""

    def sometimes(probability: float, value, otherwise):
        return value if strong and rng.random() < probability else otherwise

    angle, smear = rng.uniform(0, np.pi), rng.uniform(1.5, 8)
    date = f"{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d}-20{rng.integers(10, 27)}"
    text = f"{date} {rng.integers(24):02d}:{rng.integers(60):02d}"
    return Degradation(
        gain=float(np.exp(rng.normal(0, 0.28 if strong else 0.1))),
        gamma=float(np.exp(rng.normal(-0.05, 0.18 if strong else 0.05))),
        tint=1 + rng.normal(0, 0.07 if strong else 0.02, 3),
        grey=sometimes(0.08, True, False),
        slope=rng.uniform(-0.25, 0.25, 2),
        defocus=sometimes(0.25, float(rng.uniform(0.8, 2.6)), float(rng.uniform(0.3, 0.8))),
        motion=sometimes(0.15, smear * np.array([np.cos(angle), np.sin(angle)]), np.zeros(2)),
        shrink=sometimes(0.2, float(rng.uniform(0.3, 0.8)), 1.0),
        noise=float(rng.uniform(0.5, 5)) if not strong else float(np.exp(rng.uniform(-0.7, 2.6))),
        quality=sometimes(0.5, int(rng.integers(12, 90)), 0),
        borders=sometimes(0.1, rng.choice(([0.12, 0], [0, 0.14])) * np.array([HEIGHT, WIDTH]), np.zeros(2)).astype(int),
        text=sometimes(
            0.1, (text, int(rng.integers(0, 200)), int(rng.choice([14, HEIGHT - 6])), rng.uniform(0.3, 0.5)), None
        ),
        face=str(rng.choice(FACES)) if rng.random() < (0.15 if strong else 0.0) else None,
        seed=int(rng.integers(1 << 31)),
    )  # fmt: skip


def degrade(image: np.ndarray, faults: Degradation, head: np.ndarray | None, frame: int) -> np.ndarray:
    """Returns uint8 RGB [H, W, 3] of an image float32 of 0..255; `head` is x, y and radius of the head in pixels.

    The image is changed in place.
    """
    rng = np.random.default_rng((faults.seed, frame))
    x, y = np.linspace(-1, 1, WIDTH, dtype=np.float32), np.linspace(-1, 1, HEIGHT, dtype=np.float32)
    image *= (1 + np.float32(faults.slope[0]) * x)[None, :, None] * (1 + np.float32(faults.slope[1]) * y)[:, None, None]
    image *= (faults.gain * faults.tint).astype(np.float32)
    sigma = faults.defocus
    if faults.shrink < 1:
        sigma = np.hypot(sigma, 0.4 / faults.shrink)
    image = cv2.GaussianBlur(image, (0, 0), sigma)
    if faults.motion.any():
        image = cv2.filter2D(image, -1, _line(faults.motion))
    if faults.grey:
        image[:] = image.mean(axis=2, keepdims=True)
    if faults.shrink < 1:
        small = cv2.resize(image, None, fx=faults.shrink, fy=faults.shrink, interpolation=cv2.INTER_LINEAR)
        image = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    top, left = rng.integers(0, _GRAIN, 2)
    noise = np.float32(faults.noise) * _grain()[top : top + HEIGHT, left : left + WIDTH, : 1 if faults.grey else 3]
    exposed = np.clip(image + noise, 0, 255).astype(np.uint8)
    curve = (255 * (np.arange(256) / 255) ** faults.gamma).round().astype(np.uint8)
    levels = np.asarray(cv2.LUT(exposed, curve), np.uint8)
    if faults.face and head is not None:
        _hide_face(levels, faults.face, head, rng)
    _add_borders_and_text(levels, faults)
    if faults.quality:
        decoded = images.decode(images.encode_jpeg(levels, faults.quality))
        assert decoded is not None  # It was just encoded.
        levels = decoded
    return levels


@functools.cache
def _grain() -> np.ndarray:
    """Returns normal noise [H + _GRAIN, W + _GRAIN, 3]; a frame takes a window of it, faster than drawing new noise."""
    return np.random.default_rng(0).standard_normal((HEIGHT + _GRAIN, WIDTH + _GRAIN, 3), np.float32)


def _line(motion: np.ndarray) -> np.ndarray:
    """Returns the kernel of a smear along a path [2] in pixels."""
    reach = int(np.ceil(np.abs(motion).max() / 2)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for share in np.linspace(-0.5, 0.5, 8 * reach):
        x, y = np.round(share * motion).astype(int) + reach
        kernel[y, x] += 1
    return kernel / kernel.sum()


def _hide_face(levels: np.ndarray, kind: str, head: np.ndarray, rng: np.random.Generator) -> None:
    x, y, radius = head
    left, top = max(int(x - radius), 0), max(int(y - radius), 0)
    window = levels[top : max(int(y + radius), 0), left : max(int(x + radius), 0)]
    if window.size == 0:
        return
    height, width = window.shape[:2]
    if kind == "mosaic":
        blocks = rng.integers(3, 9)
        small = cv2.resize(window, (min(blocks, width), min(blocks, height)), interpolation=cv2.INTER_AREA)
        window[:] = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
    elif kind == "blur":
        window[:] = cv2.GaussianBlur(window, (0, 0), max(0.3 * radius, 0.5))
    elif kind == "ellipse":
        colour = rng.uniform(0, 255, 3) if rng.random() < 0.5 else rng.choice((0.0, 255.0)) * np.ones(3)
        axes = (max(int(0.8 * radius), 1), max(int(radius), 1))
        cv2.ellipse(
            levels, (int(x), int(y)), axes, float(rng.uniform(0, 180)), 0, 360, colour.tolist(), -1, cv2.LINE_AA
        )
    elif kind == "bar":
        angle = rng.uniform(0, np.pi)
        along = 0.8 * radius * np.array([np.cos(angle), np.sin(angle)])
        (x1, y1), (x2, y2) = np.round(np.array([[x, y]]) + np.outer((-1, 1), along)).astype(int).tolist()
        cv2.line(levels, (x1, y1), (x2, y2), (0, 0, 0), max(int(0.5 * radius), 1))
    else:
        window[:] = rng.integers(0, 256, window.shape, dtype=np.uint8)


def _add_borders_and_text(levels: np.ndarray, faults: Degradation) -> None:
    rows, columns = faults.borders
    if rows:
        levels[:rows], levels[-rows:] = 0, 0
    if columns:
        levels[:, :columns], levels[:, -columns:] = 0, 0
    if faults.text:
        text, x, y, size = faults.text
        cv2.putText(levels, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 1, cv2.LINE_AA)
