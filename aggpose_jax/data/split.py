"""Splits data into train, val and test; no video or infant is in two splits, as its frames are nearly identical."""

import os
import pathlib
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from aggpose_jax import io
from aggpose_jax.data.annotations import read_annotations
from aggpose_jax.data.writers import new_folder
from aggpose_jax.errors import UserError


def assign(
    groups: Sequence[str], ratios: Mapping[str, float], seed: int, labels: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Assigns groups of images, such as videos, to splits at random, and returns the name of the split of each group.

    Args:
      groups: names of the groups, each of which stays in one split; names may repeat.
      ratios: fraction of the groups by name of the split; they sum to 1. The number of groups in a split differs from
        the exact fraction by less than one.
      seed: seed of the random order of the groups.
      labels: label of each group; groups with the same label are spread over the splits as evenly as their number
        allows. None does not stratify.
    """
    order = np.random.default_rng(seed).permutation(sorted(set(groups))).tolist()
    # The sort is stable, so groups with the same label stay in random order.
    order.sort(key=lambda group: labels[group] if labels else "")
    sizes = _sizes(len(order), ratios)
    # The n groups of a split are at (1/2)/n, (3/2)/n, … of the order, so that each label meets every split.
    positions = [((position + 0.5) / size, name) for name, size in sizes.items() for position in range(size)]
    return {group: name for group, (_, name) in zip(order, sorted(positions), strict=True)}


def _sizes(count: int, ratios: Mapping[str, float]) -> dict[str, int]:
    """Returns the sizes of the splits: integers close to count × ratio that sum to count (largest remainders)."""
    exact = {name: count * ratio for name, ratio in ratios.items()}
    sizes = {name: int(number) for name, number in exact.items()}
    for name in sorted(exact, key=lambda name: sizes[name] - exact[name])[: count - sum(sizes.values())]:
        sizes[name] += 1
    return sizes


def split_directory(
    annotations: pathlib.Path,
    images: pathlib.Path,
    out: pathlib.Path,
    ratios: Mapping[str, float],
    seed: int,
    label: str | None = None,
) -> dict[str, int]:
    """Splits a COCO file by video, or by infant if every image has an infant_id, and writes OUT in the COCO layout.

    Images are hard links where the file system allows it, otherwise copies.

    Args:
      annotations: COCO file whose images have a video_id.
      images: folder of its images.
      out: a new folder.
      ratios: fraction of the videos or infants by name of the split; they sum to 1.
      seed: seed of the random order of the videos or infants.
      label: field of the images by which the splits are stratified; None does not stratify.

    Returns:
      The number of videos or infants in each split.

    Raises:
      UserError: an image lacks a field, a group has two labels, a file is missing, or the output folder is not empty.
    """
    if any(ratio < 0 for ratio in ratios.values()) or abs(sum(ratios.values()) - 1) > 1e-6:
        raise UserError(
            f"ratios {dict(ratios)} must be at least 0 and sum to 1; give one for each of {', '.join(ratios)}"
        )
    coco = read_annotations(annotations)
    key = "infant_id" if all("infant_id" in image for image in coco["images"]) else "video_id"
    group_of = {image["id"]: _field(annotations, image, key) for image in coco["images"]}
    splits = assign(list(group_of.values()), ratios, seed, _labels(annotations, coco["images"], group_of, label))
    check_videos_are_not_divided(coco["images"], {image: splits[group] for image, group in group_of.items()})
    missing = [image["file_name"] for image in coco["images"] if not (images / image["file_name"]).is_file()]
    if missing:
        raise UserError(f"{images / missing[0]} is missing, and {len(missing) - 1} more images; check the image folder")
    new_folder(out)
    for name in ratios:
        _write(coco, {image for image, group in group_of.items() if splits[group] == name}, images, out, name)
    return {name: sum(split == name for split in splits.values()) for name in ratios}


def check_videos_are_not_divided(images: Sequence[dict], split_of: Mapping[int, str]) -> None:
    """Raises a UserError that names a video with frames in two splits, if there is one."""
    split_of_video: dict = {}
    for image in images:
        split = split_of[image["id"]]
        if split_of_video.setdefault(image.get("video_id"), split) != split and "video_id" in image:
            raise UserError(
                f"video {image['video_id']} would be in both {split_of_video[image['video_id']]} and {split}, "
                "because its frames have different values of infant_id; correct infant_id"
            )


def _field(file: pathlib.Path, image: dict, key: str) -> str:
    if key not in image:
        raise UserError(f"{file}: image {image['id']} has no {key}; add it, a split requires it for every image")
    return str(image[key])


def _labels(
    file: pathlib.Path, images: Sequence[dict], group_of: Mapping[int, str], label: str | None
) -> dict[str, str] | None:
    """Returns the value of the image field `label`, by which to stratify, of each group; None if `label` is None."""
    if label is None:
        return None
    values_of = defaultdict(set)
    for image in images:
        values_of[group_of[image["id"]]].add(_field(file, image, label))
    for group, values in values_of.items():
        if len(values) > 1:
            raise UserError(
                f"{file}: the images of video or infant {group} have different values of {label}, the field of --label "
                f"({', '.join(sorted(values))}); give all its images the same value, because it stays in one split"
            )
    return {group: min(values) for group, values in values_of.items()}


def _write(coco: dict, image_ids: set, images: pathlib.Path, out: pathlib.Path, split: str) -> None:
    """Writes the images with these ids, and their annotations, as the split `split` of the COCO directory `out`."""
    subset = {
        **coco,
        "images": [image for image in coco["images"] if image["id"] in image_ids],
        "annotations": [a for a in coco["annotations"] if a["image_id"] in image_ids],
    }
    (out / split).mkdir()
    for image in subset["images"]:
        target = out / split / image["file_name"]
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(images / image["file_name"], target)
        except OSError:
            shutil.copyfile(images / image["file_name"], target)
    io.write_json(out / "annotations" / f"person_keypoints_{split}.json", subset)
