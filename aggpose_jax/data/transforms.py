"""Transforms records into crops: reads each image, draws a random view of its person and warps it to the input size."""

from collections.abc import Sequence

import cv2
import numpy as np

from aggpose_jax.data.images import ImageError, read_annotated_image
from aggpose_jax.data.views import Augmentation, View, draw_view, person_view, view_transform
from aggpose_jax.pose import geometry
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.pose.protocol import AGGPOSE, Protocol

CUTOUT_SIDES = (0.2, 0.4)  # minimum and maximum side of a cutout hole, as a fraction of the side of the crop


def warp(
    image: np.ndarray, transform: np.ndarray, output_size: tuple[int, int], crop: np.ndarray | None = None
) -> np.ndarray:
    """Returns the crop uint8 [height, width, 3] of an image by a transform [2, 3] from image to crop pixels.

    Interpolation is bilinear; the crop is black outside the image. The result is written into `crop` unless it is None.
    """
    height, width = output_size
    return cv2.warpAffine(image, transform, (width, height), crop, cv2.INTER_LINEAR)


def cut_out(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns a copy of a crop [H, W, 3] with a black rectangle, each side 0.2 to 0.4 of that of the crop."""
    sides = np.array(image.shape[:2])
    hole = np.round(rng.uniform(*CUTOUT_SIDES, 2) * sides).astype(int)
    top, left = rng.integers(sides - hole + 1)
    image = image.copy()
    image[top : top + hole[0], left : left + hole[1]] = 0
    return image


def make_batch(
    records: Sequence[dict],
    generators: Sequence[np.random.Generator] | None = None,
    *,
    keypoint_set: KeypointSet,
    input_size: tuple[int, int],
    augmentation: Augmentation | None = None,
    protocol: Protocol = AGGPOSE,
    upright: bool = False,
) -> dict[str, np.ndarray]:
    """Returns a batch of crops of the persons of records, with their keypoints in crop pixels.

    Decoding an image evicts everything else from the processor's caches, so the code after it starts slowly. Therefore
    all views are drawn first, then all images are decoded and warped into the batch, then all labels are computed.

    Args:
      records: N records with image, box, keypoints [K, 3], image_id, id and optionally size and score (see data.coco).
      generators: N random generators for the augmentation of the records; None does not augment.
      keypoint_set: the set of the K keypoints.
      input_size: (height, width) of the crops in pixels.
      augmentation: ranges of the augmentation; required with generators, ignored without.
      protocol: how a box is mapped to the pixels of a crop.
      upright: whether crops are turned so that the shoulders are above the hips, see `views.person_view`.

    Returns:
      image uint8 [N, H, W, 3]; keypoints float32 [N, K, 2] in crop pixels and weight float32 [N, K], both 0 where
      unlabelled; to_image float32 [N, 2, 3] from crop to image pixels; crop_area float32 [N], square image pixels of
      the region; image_id, id int64 [N]; score float32 [N]; reoriented float32 [N], 1 for an image that was rotated by
      its EXIF orientation, see `read_annotated_image`, else 0; valid float32 [N], 1. With generators, an image that
      cannot be read gives a black crop without keypoints whose `valid` is 0. If the records have `absent`, so has the
      batch, float32 [N, K]: 1 for keypoints that nothing in the crop shows; their weight is 0.

    Raises:
      ImageError: without generators, an image cannot be read.
    """
    aspect = input_size[1] / input_size[0]
    cutout = 0.0 if augmentation is None else augmentation.cutout
    if generators is None:
        views = [person_view(record, keypoint_set, aspect, upright, protocol) for record in records]
    else:
        assert augmentation is not None, "generators require an augmentation"
        pairs = zip(records, generators, strict=True)
        views = [draw_view(record, keypoint_set, aspect, augmentation, rng, upright, protocol) for record, rng in pairs]
    crops = np.zeros((len(records), *input_size, 3), np.uint8)
    filled = [
        _fill_crop(record, view, crop, protocol.convention, allow_unreadable=generators is not None)
        for record, view, crop in zip(records, views, crops, strict=True)
    ]
    if generators is not None:
        for crop, rng in zip(crops, generators, strict=True):
            if rng.random() < cutout:
                crop[:] = cut_out(crop, rng)
    labels = [
        _labels(record, view, transform, keypoint_set, input_size) | {"reoriented": np.float32(reoriented)}
        for record, view, (transform, reoriented) in zip(records, views, filled, strict=True)
    ]
    return {"image": crops} | {name: np.stack([label[name] for label in labels]) for name in labels[0]}


def _fill_crop(
    record: dict, view: View, crop: np.ndarray, convention: str, allow_unreadable: bool
) -> tuple[np.ndarray | None, bool]:
    """Writes the crop of a view into `crop` [H, W, 3] and returns its transform [2, 3] from image to crop pixels.

    The second result says whether the image was rotated by its EXIF orientation, see `read_annotated_image`. If the
    image cannot be read, the crop is unchanged and the transform is None, or, without `allow_unreadable`, an ImageError
    is raised.
    """
    try:
        image, reoriented = read_annotated_image(record["image"], record.get("size"))
    except ImageError:
        if allow_unreadable:
            return None, False
        raise
    input_size = crop.shape[:2]
    transform = view_transform(view, image.shape[1], input_size, convention)
    warp(image, transform, input_size, crop)
    return transform, reoriented


def _labels(
    record: dict, view: View, transform: np.ndarray | None, keypoint_set: KeypointSet, input_size: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Returns the arrays that `make_batch` returns for one record, except its image.

    `transform` [2, 3] maps image to crop pixels; it is None for an image that could not be read.
    """
    valid = np.float32(transform is not None)
    transform = np.eye(2, 3) if transform is None else transform
    order = keypoint_set.flip_permutation if view.flipped else slice(None)
    keypoints = record["keypoints"][order]
    weight = (keypoints[:, 2] > 0) * valid
    points, absent = geometry.apply(transform, keypoints[:, :2]), {}
    if "absent" in record:
        inside = ((points >= 0) & (points < input_size[::-1])).all(axis=1)
        missing = record["absent"][order] | ((keypoints[:, 2] > 0) & ~inside)
        absent = {"absent": (missing * valid).astype(np.float32)}
        weight = weight * ~missing
    return absent | {
        "keypoints": (points * weight[:, None]).astype(np.float32),
        "weight": weight,
        "to_image": geometry.invert(transform).astype(np.float32),
        "crop_area": np.float32(view.size[0] * view.size[1] * valid),
        "image_id": np.int64(record["image_id"]),
        "id": np.int64(record["id"]),
        "score": np.float32(record.get("score", 1) * valid),
        "valid": valid,
    }
