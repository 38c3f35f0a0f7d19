"""Data sources of synthetic supine infants. Any number of them is generated, each from its index alone.

The train and test splits sample bed sheets, clothes, skin tones and body proportions from disjoint ranges
(`ranges.py`).
"""

import numpy as np

from aggpose_jax.data.synthetic.appearance import sample_appearance
from aggpose_jax.data.synthetic.ranges import TEST, TRAIN
from aggpose_jax.data.synthetic.render import render
from aggpose_jax.data.synthetic.scene import HEIGHT, WIDTH, Scene, sample_scene
from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import INFANT_21

SPLITS = {"train": (0, TRAIN), "test": (1, TEST)}
PERSON_AREA_RATIO = 0.53  # person area / box area, the convention of pose benchmarks without masks
_STILL, _MOVING = 0, 1
_SCENE, _APPEARANCE, _NOISE = 0, 1, 2


class _Infants:
    """The base class of still images and videos: it generates an infant, by its number, at a frame.

    Every random generator is seeded with the integers (seed, split, kind, infant, purpose).
    """

    def __init__(self, kind: int, split: str, seed: int, fps: float):
        if split not in SPLITS:
            raise UserError(f'synthetic infants: unknown split "{split}". Choose one of {", ".join(SPLITS)}.')
        code, self._ranges = SPLITS[split]
        self._key = (seed, code, kind)
        self._fps = fps

    def _rng(self, infant: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng((*self._key, infant, purpose))

    def _scene(self, infant: int) -> Scene:
        return sample_scene(self._rng(infant, _SCENE), self._ranges)

    def _image(self, infant: int, frame: int, scene: Scene) -> np.ndarray:
        appearance = sample_appearance(self._rng(infant, _APPEARANCE), self._ranges)
        noise_offset = self._rng(infant, _NOISE + frame).integers(0, 32, 2)
        return render(scene, appearance, frame / self._fps, tuple(noise_offset.tolist()))


class SyntheticInfants(_Infants):
    """A data source of still images of one infant each. A record is a pure function of (split, seed, index).

    A record has `image` uint8 [240, 320, 3] RGB, `box` float32 [4] (x, y, width, height in pixels: tight around the
    labelled keypoints), `keypoints` float32 [21, 3] (x, y in pixels, visibility 2 visible, 1 occluded, 0 outside the
    frame), `area` in square pixels, `image_id` and `id` (both are index + 1).
    """

    def __init__(self, count: int, *, split: str = "train", seed: int = 0):
        """Creates a source of the first `count` infants of a split ("train" or "test") and a seed.

        Raises:
          UserError: the split is unknown.
        """
        super().__init__(_STILL, split, seed, fps=1.0)
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> dict:
        index = _normalise_index(index, self._count)
        scene = self._scene(index)
        return {"image": self._image(index, 0, scene), **_labels(scene.keypoints(), index + 1)}

    def counts(self) -> dict[str, int]:
        """Returns the numbers of images, of persons and of labelled keypoints."""
        labelled = sum(int(np.count_nonzero(self._scene(i).keypoints()[:, 2])) for i in range(self._count))
        return {"images": self._count, "persons": self._count, "labelled keypoints": labelled}

    def ground_truth(self) -> dict:
        """Returns images, annotations and categories in the COCO format, without rendering any image."""
        return coco_dict([_labels(self._scene(i).keypoints(), i + 1) for i in range(self._count)])


class SyntheticMovement(_Infants):
    """A data source of video frames of moving infants. A record is a pure function of (split, seed, index).

    Record video · frames + frame has the items of a `SyntheticInfants` record, and `video_id` (video + 1) and `frame`
    (counted from 0).
    """

    def __init__(self, videos: int, frames: int, *, split: str = "train", seed: int = 0, fps: float = 30.0):
        """Creates a source of the first `videos` infants, each with `frames` frames at `fps` frames per second.

        Raises:
          UserError: the split is unknown.
        """
        super().__init__(_MOVING, split, seed, fps)
        self._videos, self.frames = videos, frames

    def __len__(self) -> int:
        return self._videos * self.frames

    def __getitem__(self, index: int) -> dict:
        index = _normalise_index(index, len(self))
        video, frame = divmod(index, self.frames)
        scene = self._scene(video)
        return {"image": self._image(video, frame, scene), **self._frame_labels(scene, index)}

    def ground_truth(self, video: int) -> dict:
        """Returns the frames of a video in the COCO format, without rendering; the image ids are the frame numbers."""
        scene = self._scene(video)
        labels = [self._frame_labels(scene, video * self.frames + frame) for frame in range(self.frames)]
        return coco_dict([{**label, "image_id": label["frame"], "id": label["frame"] + 1} for label in labels])

    def _frame_labels(self, scene: Scene, index: int) -> dict:
        video, frame = divmod(index, self.frames)
        return {**_labels(scene.keypoints(frame / self._fps), index + 1), "video_id": video + 1, "frame": frame}


def _normalise_index(index: int, count: int) -> int:
    if not -count <= index < count:
        raise IndexError(f"index {index} is out of range for {count} records")
    return int(index) % count


def _labels(keypoints: np.ndarray, record_id: int) -> dict:
    """Returns the items of a record other than its image, from keypoints [21, 3]; `record_id` becomes both ids."""
    labelled = keypoints[keypoints[:, 2] > 0, :2]
    low, high = labelled.min(axis=0), labelled.max(axis=0)
    box = np.concatenate([low, high - low]).astype(np.float32)
    area = PERSON_AREA_RATIO * float(box[2]) * float(box[3])
    return {"box": box, "keypoints": keypoints, "area": area, "image_id": record_id, "id": record_id}


def coco_dict(records: list[dict]) -> dict:
    """Returns the ground truth of records of synthetic infants as a COCO dict.

    The records need no images. Those without a labelled keypoint give an image without a person.
    """
    images, annotations = [], []
    for record in records:
        video_fields = {key: record[key] for key in ("video_id", "frame") if key in record}
        name = f"synthetic_{record['image_id']:06d}.png"
        images.append({"id": record["image_id"], "width": WIDTH, "height": HEIGHT, "file_name": name, **video_fields})
        if not record["keypoints"][:, 2].any():
            continue
        annotations.append({
            "id": record["id"], "image_id": record["image_id"], "category_id": 1, "iscrowd": 0,
            "area": record["area"], "bbox": record["box"].tolist(), "keypoints": record["keypoints"].ravel().tolist(),
            "num_keypoints": int((record["keypoints"][:, 2] > 0).sum()),
        })  # fmt: skip
    category = {"id": 1, "name": "infant", "keypoints": list(INFANT_21.names),
                "skeleton": [[a + 1, b + 1] for a, b in INFANT_21.skeleton]}  # fmt: skip
    return {"images": images, "annotations": annotations, "categories": [category]}
