"""Finds videos, infants and files that are in more than one split, so that a test measures what was trained on."""

import json
from collections import defaultdict
from collections.abc import Sequence

from aggpose_jax.data.audit.dataset import Split
from aggpose_jax.data.audit.findings import Finding, of_image
from aggpose_jax.data.audit.image_files import Files


def check_groups(splits: Sequence[Split]) -> list[Finding]:
    """Finds each video (`video_id` of images) and infant (`infant_id`) with images in more than one split."""
    return [
        finding
        for kind, field, noun in (
            ("video_in_two_splits", "video_id", "Video"),
            ("infant_in_two_splits", "infant_id", "Infant"),
        )
        for finding in _check_group(splits, kind, field, noun)
    ]


def _check_group(splits: Sequence[Split], kind: str, field: str, noun: str) -> list[Finding]:
    images_of: dict[str, dict[str, list[dict]]] = defaultdict(lambda: defaultdict(list))
    for split in splits:
        for image in split.images:
            if image.get(field) is not None:
                images_of[json.dumps(image[field], sort_keys=True)][split.name].append(image)
    findings = []
    for value, by_split in images_of.items():
        if len(by_split) > 1:
            numbers = " and ".join(f"{len(images)} in {name}" for name, images in by_split.items())
            text = f"{noun} {value} has images in {len(by_split)} splits ({numbers}); move all of them to one split."
            first, *_, last = by_split
            other = f"{first}/{by_split[first][0]['file_name']}"
            findings.append(of_image(kind, last, by_split[last][0], text, other))
    return findings


def check_files_listed_twice(splits: Sequence[Split], files: Sequence[Files]) -> list[Finding]:
    """Finds entries of images, of one split or of two, whose file is that of an earlier entry, also by links."""
    first: dict[tuple[int, int], str] = {}
    findings = []
    for split, one in zip(splits, files, strict=True):
        for image, identity in zip(split.images, one.identities, strict=True):
            name = f"{split.name}/{image['file_name']}"
            if identity in first:
                other = first[identity]
                which = "is listed twice" if other == name else f"is the same file as {other}"
                text = f"{name} {which}; list it once, with all its persons, in one split."
                findings.append(of_image("same_file", split.name, image, text, other))
            elif identity is not None:
                first[identity] = name
    return findings
