"""Data sources of rendered infants. Any number of them is drawn, each from its index alone.

The splits have clothes, surfaces, things around and cameras of their own (`styles.py`).
"""

import dataclasses
import functools

import numpy as np

from aggpose_jax.data.synthetic import PERSON_AREA_RATIO
from aggpose_jax.data.synthetic.camera import HEIGHT, WIDTH
from aggpose_jax.data.synthetic.degradation import Degradation, degrade, sample_degradation
from aggpose_jax.data.synthetic.rendering import draw
from aggpose_jax.data.synthetic.staging import Scene, Variety, sample_scene
from aggpose_jax.data.synthetic.styles import STYLES, Style
from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import INFANT_21

_STILL, _MOVING = 2, 3


@dataclasses.dataclass(frozen=True)
class Infant:
    """One infant, or none, with all that determines its images: a scene and the faults of its camera."""

    scene: Scene
    faults: Degradation


def sample_infant(seed: tuple[int, ...], style: Style, variety: Variety, moving: bool) -> Infant:
    """Returns a random infant, a pure function of the seed."""
    scene = sample_scene(np.random.default_rng((*seed, 0)), style, variety, moving)
    return Infant(scene, sample_degradation(np.random.default_rng((*seed, 1)), variety.degradation))


def draw_record(infant: Infant, frame: int, fps: float, record_id: int) -> dict:
    """Returns the record of a frame of an infant; see `RenderedInfants` for its items. `record_id` becomes both ids."""
    view = draw(infant.scene, frame / fps)
    image = degrade(view.image, infant.faults, view.head, frame)
    keypoints = np.zeros((len(INFANT_21), 3), np.float32) if view.keypoints is None else view.keypoints
    rows, columns = infant.faults.borders
    shown = (np.abs(keypoints[:, 0] - (WIDTH - 1) / 2) <= (WIDTH - 1) / 2 - columns) & (
        np.abs(keypoints[:, 1] - (HEIGHT - 1) / 2) <= (HEIGHT - 1) / 2 - rows
    )
    keypoints = keypoints * shown[:, None]  # What a black bar covers is outside the frame.
    labelled = keypoints[keypoints[:, 2] > 0, :2]
    if len(labelled) < 2:  # Nothing to label: the box is that of the bed's middle, where an infant would lie.
        labelled = _place_of_bed(infant.scene)
    low, high = labelled.min(axis=0), labelled.max(axis=0)
    box = np.concatenate([low, np.maximum(high - low, 1)]).astype(np.float32)
    area = PERSON_AREA_RATIO * float(box[2]) * float(box[3])
    labels = {"keypoints": keypoints, "absent": view.absent | ~shown, "box": box, "area": area}
    return {"image": image, **labels, "image_id": record_id, "id": record_id}


def _place_of_bed(scene: Scene) -> np.ndarray:
    """Returns two opposite corners [2, 2] in pixels of the part of the frame in which an infant would lie."""
    middle = np.array([*scene.surroundings.bed[:2], 0.05])
    x, y, depth = scene.camera.project(middle)
    reach = 0.25 * scene.camera.focal / max(depth, 0.1)
    corners = np.array([[x - reach, y - reach], [x + reach, y + reach]])
    return np.clip(corners, 0, [WIDTH - 1, HEIGHT - 1])


class RenderedInfants:
    """A data source of still images of one infant each, or, with a variety that has empty frames, of none.

    A record has `image` uint8 [240, 320, 3] RGB, `keypoints` float32 [21, 3] (x, y in pixels, visibility 2 visible, 1
    hidden, 0 outside the frame), `absent` bool [21] (hidden by a thing, outside the frame, or no infant: nothing of the
    image shows where it is), `box` float32 [4] (x, y, width, height in pixels: tight around the labelled keypoints; in
    an empty frame where the infant would be), `area` in square pixels, `image_id` and `id` (both are index + 1).
    """

    def __init__(self, count: int, *, split: str = "train", seed: int = 0, variety: Variety | None = None):
        """Creates a source of the first `count` infants of a split (a key of `styles.STYLES`) and a seed.

        Raises:
          UserError: the split is unknown.
        """
        if split not in STYLES:
            raise UserError(f'synthetic infants: unknown split "{split}". Choose one of {", ".join(STYLES)}.')
        self._key, self._style = (seed, list(STYLES).index(split), _STILL), STYLES[split]
        self._count, self._variety = count, variety or Variety(empty=False)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> dict:
        if not -self._count <= index < self._count:
            raise IndexError(f"index {index} is out of range for {self._count} records")
        index = int(index) % self._count
        infant = sample_infant((*self._key, index), self._style, self._variety, False)
        return draw_record(infant, 0, 1.0, index + 1)


class RenderedMovement:
    """A data source of frames of moving infants; record film · frames + frame also has `video_id` and `frame`."""

    def __init__(
        self,
        films: int,
        frames: int,
        *,
        split: str = "train",
        seed: int = 0,
        fps: float = 30.0,
        variety: Variety | None = None,
    ):
        """Creates a source of the first `films` infants, each with `frames` frames at `fps` frames per second.

        Raises:
          UserError: the split is unknown.
        """
        if split not in STYLES:
            raise UserError(f'synthetic infants: unknown split "{split}". Choose one of {", ".join(STYLES)}.')
        self._key, self._style = (seed, list(STYLES).index(split), _MOVING), STYLES[split]
        self._films, self._frames, self._fps = films, frames, fps
        self._variety = variety or Variety(empty=False)
        self._infant = functools.lru_cache(maxsize=2)(self._sample)

    def _sample(self, film: int) -> Infant:
        return sample_infant((*self._key, film), self._style, self._variety, True)

    def __len__(self) -> int:
        return self._films * self._frames

    def __getitem__(self, index: int) -> dict:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range for {len(self)} records")
        index = int(index) % len(self)
        film, frame = divmod(index, self._frames)
        record = draw_record(self._infant(film), frame, self._fps, index + 1)
        return {**record, "video_id": film + 1, "frame": frame}
