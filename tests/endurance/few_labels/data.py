"""Synthetic infants that are drawn once and kept in a file, and random draws of labelled ones among them."""

import pathlib
from collections.abc import Sequence

import numpy as np

from aggpose_jax import io
from aggpose_jax.data.synthetic import SyntheticInfants, coco_dict

POOL, VALIDATION, TEST = 4000, 300, 500
SPLITS = {"pool": ("train", 0, POOL), "validation": ("train", 1, VALIDATION), "test": ("test", 0, TEST)}


def read_infants(folder: pathlib.Path, name: str) -> list[dict]:
    """Returns the records of "pool", "validation" or "test" as `SyntheticInfants` makes them.

    The pool and the validation infants share ranges of appearance, the test infants have others. The images are drawn
    on the first call and lie in a file that all processes map into memory.
    """
    split, seed, count = SPLITS[name]
    source = SyntheticInfants(count, split=split, seed=seed)
    file = folder / f"{name}.npy"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with io.atomic_path(file) as path, path.open("wb") as out:
            np.save(out, np.stack([source[index]["image"] for index in range(count)]))
    images = np.load(file, mmap_mode="r")
    annotations = source.ground_truth()["annotations"]
    return [record_of(annotation, image) for annotation, image in zip(annotations, images, strict=True)]


def record_of(annotation: dict, image: np.ndarray) -> dict:
    """Returns the record of an annotation of a COCO file and its image."""
    return {
        "image": image,
        "box": np.array(annotation["bbox"], np.float32),
        "keypoints": np.array(annotation["keypoints"], np.float32).reshape(-1, 3),
        "area": annotation["area"],
        "image_id": annotation["image_id"],
        "id": annotation["id"],
    }


def ground_truth(records: Sequence[dict]) -> dict:
    """Returns the records as a COCO dict."""
    return coco_dict(list(records))


def draw_labelled(pool: Sequence[dict], labels: int, seed: int) -> list[dict]:
    """Returns `labels` random records of the pool; the draw of a seed contains its smaller draws."""
    order = np.random.default_rng((seed, 1)).permutation(len(pool))
    return [pool[index] for index in order[:labels]]
