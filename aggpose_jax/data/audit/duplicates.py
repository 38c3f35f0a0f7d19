"""Finds images that are in two splits, or twice in one, also if they were compressed, resized or mirrored."""

import itertools
from collections.abc import Iterable, Sequence

from aggpose_jax.data.audit.dataset import Split
from aggpose_jax.data.audit.findings import Finding, of_image
from aggpose_jax.data.audit.hashes import best_matches, equal_images, fingerprints
from aggpose_jax.data.audit.image_files import Files


def check_duplicates(splits: Sequence[Split], files: Sequence[Files]) -> list[Finding]:
    """Finds images that look like one of an earlier split, and images that are twice in a split.

    An image gets one finding for each earlier split. In a split, frames of one video may be equal, since an infant can
    lie still. Two entries that name one file are left to `leaks.check_files_listed_twice`.

    Args:
      splits: the splits.
      files: the files of the images of each split.
    """
    prints = [fingerprints(one.thumbnails) for one in files]
    findings = []
    for a, b in itertools.combinations(range(len(splits)), 2):
        for match in best_matches(prints[b], prints[a]):
            if files[b].identities[match.image] != files[a].identities[match.other]:
                image, other = splits[b].images[match.image], splits[a].images[match.other]
                how = "mirrored, " if match.is_mirrored else ""
                more = f" and like {match.matches - 1} more images there" if match.matches > 1 else ""
                name = f"{splits[a].name}/{other['file_name']}"
                text = (
                    f"The image looks like {name} ({how}correlation {match.correlation:.3f}){more}; keep such images "
                    "in one split, or the other split measures what was learnt by heart."
                )
                findings.append(of_image("near_duplicate", splits[b].name, image, text, name))
    for split, file, fingerprint in zip(splits, files, prints, strict=True):
        findings += _equal_images(split, file, equal_images(fingerprint))
    return findings


def _equal_images(split: Split, files: Files, pairs: Iterable[tuple[int, int]]) -> list[Finding]:
    """Returns a finding for each image that equals an earlier one; `pairs` are indices (later, earlier)."""
    found: dict[int, Finding] = {}
    for later, earlier in pairs:
        image, other = split.images[later], split.images[earlier]
        is_one_video = image.get("video_id") is not None and image.get("video_id") == other.get("video_id")
        if later not in found and not is_one_video and files.identities[later] != files.identities[earlier]:
            name = f"{split.name}/{other['file_name']}"
            text = f"The image is the same as {name}; remove one of them, with its persons."
            found[later] = of_image("exact_duplicate", split.name, image, text, name)
    return list(found.values())
