"""Synthetic supine infants: any number, from nothing but their index.

Train and test draw sheets, clothes, skins and proportions from ranges without a common value (`ranges.py`).
"""

import numpy as np

from aggpose_jax.data.synthetic.appearance import draw_appearance
from aggpose_jax.data.synthetic.ranges import TEST, TRAIN
from aggpose_jax.data.synthetic.render import render
from aggpose_jax.data.synthetic.scene import HEIGHT, WIDTH, Scene, draw_scene
from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import INFANT_21

SPLITS = {"train": (0, TRAIN), "test": (1, TEST)}
AREA_OF_BOX = 0.53  # share of its box that a person covers, the custom where no mask is known
_STILL, _MOVING = 0, 1
_SCENE, _LOOK, _NOISE = 0, 1, 2


class _Infants:
    """What stills and films share: an infant (`film`) at a frame, from a key of whole numbers."""

    def __init__(self, kind: int, split: str, seed: int, fps: float):
        if split not in SPLITS:
            raise UserError(f'synthetic infants have no split "{split}": choose one of {", ".join(SPLITS)}')
        code, self._ranges = SPLITS[split]
        self._key = (seed, code, kind)
        self._fps = fps

    def _rng(self, film: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng((*self._key, film, purpose))

    def _scene(self, film: int) -> Scene:
        return draw_scene(self._rng(film, _SCENE), self._ranges)

    def _image(self, film: int, frame: int, scene: Scene) -> np.ndarray:
        look = draw_appearance(self._rng(film, _LOOK), self._ranges)
        noise_at = self._rng(film, _NOISE + frame).integers(0, 32, 2)
        return render(scene, look, frame / self._fps, tuple(noise_at.tolist()))


class SyntheticInfants(_Infants):
    """Still images of one infant each. A record is a pure function of (split, seed, index).

    Records hold `image` uint8 [240, 320, 3] RGB, `box` float32 [4] (x, y, width, height: tight around the labelled
    points), `keypoints` float32 [21, 3] (x, y, visibility 2 seen, 1 covered, 0 outside the frame), `area`, `image_id`
    and `id` (both index + 1).
    """

    def __init__(self, count: int, *, split: str = "train", seed: int = 0):
        """The first `count` infants of a split ("train" or "test") and a seed.

        Raises:
          UserError: there is no such split.
        """
        super().__init__(_STILL, split, seed, fps=1.0)
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> dict:
        index = _checked(index, self._count)
        scene = self._scene(index)
        return {"image": self._image(index, 0, scene), **_labels(scene.keypoints(), index + 1)}

    def counts(self) -> dict[str, int]:
        """Numbers of images, of persons and of their labelled keypoints."""
        labelled = sum(np.count_nonzero(self._scene(i).keypoints()[:, 2]) for i in range(self._count))
        return {"images": self._count, "persons": self._count, "labelled keypoints": labelled}

    def ground_truth(self) -> dict:
        """Images, annotations and categories in the COCO format; nothing is drawn for it."""
        return _coco([_labels(self._scene(i).keypoints(), i + 1) for i in range(self._count)])


class SyntheticMovement(_Infants):
    """Films of moving infants: record video · frames + frame, a pure function of (split, seed, index).

    Records are those of `SyntheticInfants` with `video_id` (video + 1) and `frame` (from 0).
    """

    def __init__(self, videos: int, frames: int, *, split: str = "train", seed: int = 0, fps: float = 30.0):
        """The first `videos` infants, each for `frames` frames at `fps` frames a second.

        Raises:
          UserError: there is no such split.
        """
        super().__init__(_MOVING, split, seed, fps)
        self._videos, self._frames = videos, frames

    def __len__(self) -> int:
        return self._videos * self._frames

    def __getitem__(self, index: int) -> dict:
        index = _checked(index, len(self))
        video, frame = divmod(index, self._frames)
        scene = self._scene(video)
        return {"image": self._image(video, frame, scene), **self._frame_labels(scene, index)}

    def ground_truth(self) -> dict:
        """Images, annotations and categories in the COCO format; nothing is drawn for it."""
        records = []
        for video in range(self._videos):
            scene = self._scene(video)
            records += [self._frame_labels(scene, video * self._frames + frame) for frame in range(self._frames)]
        return _coco(records)

    def _frame_labels(self, scene: Scene, index: int) -> dict:
        video, frame = divmod(index, self._frames)
        return {**_labels(scene.keypoints(frame / self._fps), index + 1), "video_id": video + 1, "frame": frame}


def _checked(index: int, count: int) -> int:
    if not -count <= index < count:
        raise IndexError(f"record {index} of {count}")
    return int(index) % count


def _labels(keypoints: np.ndarray, number: int) -> dict:
    """The record without its image."""
    labelled = keypoints[keypoints[:, 2] > 0, :2]
    low, high = labelled.min(axis=0), labelled.max(axis=0)
    box = np.concatenate([low, high - low]).astype(np.float32)
    area = AREA_OF_BOX * float(box[2]) * float(box[3])
    return {"box": box, "keypoints": keypoints, "area": area, "image_id": number, "id": number}


def _coco(records: list[dict]) -> dict:
    images, annotations = [], []
    for r in records:
        place = {key: r[key] for key in ("video_id", "frame") if key in r}
        name = f"synthetic_{r['image_id']:06d}.png"
        images.append({"id": r["image_id"], "width": WIDTH, "height": HEIGHT, "file_name": name, **place})
        annotations.append({
            "id": r["id"], "image_id": r["image_id"], "category_id": 1, "iscrowd": 0, "area": r["area"],
            "bbox": r["box"].tolist(), "keypoints": r["keypoints"].ravel().tolist(),
            "num_keypoints": int((r["keypoints"][:, 2] > 0).sum()),
        })  # fmt: skip
    category = {"id": 1, "name": "infant", "keypoints": list(INFANT_21.names),
                "skeleton": [[a + 1, b + 1] for a, b in INFANT_21.skeleton]}  # fmt: skip
    return {"images": images, "annotations": annotations, "categories": [category]}
