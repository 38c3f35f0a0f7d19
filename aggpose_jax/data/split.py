"""Train, val and test without a video, or an infant, in two of them: frames of one are near copies of each other."""

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
    groups: Sequence[str], shares: Mapping[str, float], seed: int, labels: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Gives each group to a split.

    Args:
      groups: names of what must stay together.
      shares: by name of a split; they sum to 1. The number of groups of each is within one of its share.
      seed: of the order.
      labels: of each group; those with the same label are spread over the splits as evenly as their number allows.

    Returns:
      The split of each group.
    """
    order = np.random.default_rng(seed).permutation(sorted(set(groups))).tolist()
    order.sort(key=lambda group: labels[group] if labels else "")  # stable: chance within a label
    sizes = _sizes(len(order), shares)
    # The n groups of a split stand at (1/2)/n, (3/2)/n, … of the order, so that each label meets every split.
    places = [((place + 0.5) / size, name) for name, size in sizes.items() for place in range(size)]
    return {group: name for group, (_, name) in zip(order, sorted(places), strict=True)}


def _sizes(count: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers nearest to the shares that sum to count (largest remainders)."""
    exact = {name: count * share for name, share in shares.items()}
    sizes = {name: int(number) for name, number in exact.items()}
    for name in sorted(exact, key=lambda name: sizes[name] - exact[name])[: count - sum(sizes.values())]:
        sizes[name] += 1
    return sizes


def split_directory(
    annotations: pathlib.Path,
    images: pathlib.Path,
    out: pathlib.Path,
    shares: Mapping[str, float],
    seed: int,
    label: str | None = None,
) -> dict[str, int]:
    """Splits a COCO file by video, or by infant where every image has an infant_id, into OUT in the layout of COCO.

    Images are linked where the file system can, else copied.

    Args:
      annotations: COCO file whose images have a video_id.
      images: folder of its images.
      out: a new folder.
      shares: by name of a split; they sum to 1.
      seed: of the order.
      label: field of the images to stratify by.

    Returns:
      The number of groups in each split.

    Raises:
      UserError: an image lacks a field, a group has two labels, or files are missing or in the way.
    """
    if any(share < 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        raise UserError(f"shares {dict(shares)} do not sum to 1; give one for each of {', '.join(shares)}")
    coco = read_annotations(annotations)
    key = "infant_id" if all("infant_id" in image for image in coco["images"]) else "video_id"
    group_of = {image["id"]: _field(annotations, image, key) for image in coco["images"]}
    splits = assign(list(group_of.values()), shares, seed, _labels(annotations, coco["images"], group_of, label))
    check_no_video_crosses(coco["images"], {image: splits[group] for image, group in group_of.items()})
    missing = [image["file_name"] for image in coco["images"] if not (images / image["file_name"]).is_file()]
    if missing:
        raise UserError(f"{images / missing[0]} is missing, and {len(missing) - 1} more; give the folder of the images")
    new_folder(out)
    for name in shares:
        _write(coco, {image for image, group in group_of.items() if splits[group] == name}, images, out, name)
    return {name: sum(split == name for split in splits.values()) for name in shares}


def check_no_video_crosses(images: Sequence[dict], split_of: Mapping[int, str]) -> None:
    """Raises a UserError that names a video with frames in two splits."""
    seen: dict = {}
    for image in images:
        split = split_of[image["id"]]
        if seen.setdefault(image.get("video_id"), split) != split and "video_id" in image:
            raise UserError(
                f"video {image['video_id']} would be in {seen[image['video_id']]} and in {split}: "
                "its frames name different infants; correct infant_id"
            )


def _field(file: pathlib.Path, image: dict, key: str) -> str:
    if key not in image:
        raise UserError(f"{file}: image {image['id']} has no {key}; a split needs it of every image")
    return str(image[key])


def _labels(file, images, group_of, label) -> dict[str, str] | None:
    if label is None:
        return None
    found = defaultdict(set)
    for image in images:
        found[group_of[image["id"]]].add(_field(file, image, label))
    for group, values in found.items():
        if len(values) > 1:
            raise UserError(f"{file}: {group} has several values of {label}: {', '.join(sorted(values))}; give it one")
    return {group: min(values) for group, values in found.items()}


def _write(coco: dict, chosen: set, images: pathlib.Path, out: pathlib.Path, split: str) -> None:
    part = {
        **coco,
        "images": [image for image in coco["images"] if image["id"] in chosen],
        "annotations": [a for a in coco["annotations"] if a["image_id"] in chosen],
    }
    (out / split).mkdir()
    for image in part["images"]:
        target = out / split / image["file_name"]
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(images / image["file_name"], target)
        except OSError:
            shutil.copyfile(images / image["file_name"], target)
    io.write_json(out / "annotations" / f"person_keypoints_{split}.json", part)
