"""Compares images by hashes of their low frequencies and by the correlation of thumbnails.

Both hardly change if an image is compressed, resized or made brighter. The thresholds were chosen on images of COCO and
on synthetic infants: JPEG quality 40, half the size and 20 grey levels change at most 6 of the 63 bits and leave a
correlation of .97. Of 500 different synthetic infants, no two with a distance of up to 12 bits correlate above .8.
"""

import dataclasses
import math
from collections.abc import Iterator

import cv2
import numpy as np

MAX_DISTANCE = 8  # of 63 bits
MIN_CORRELATION = 0.9
SAME_CORRELATION = 0.999  # of two copies of an image
MIN_CONTRAST = 1.0  # standard deviation in grey levels below which an image is uniform, and not compared
BLOCK = 2**22  # number of pairs that are compared at once


@dataclasses.dataclass(frozen=True)
class Fingerprints:
    """What is compared of the N images that are not uniform.

    `index` [N] are their indices among all images, `hash` and `mirrored` uint64 [N] the hashes of the images and of
    their mirror images, and `thumbnails` uint8 [N, S, S] grey.
    """

    index: np.ndarray
    hash: np.ndarray
    mirrored: np.ndarray
    thumbnails: np.ndarray


@dataclasses.dataclass(frozen=True)
class Match:
    """An image looks like the image `other` of another set, perhaps mirrored, and like `matches` images of that set."""

    image: int
    other: int
    correlation: float
    is_mirrored: bool
    matches: int


def fingerprints(thumbnails: np.ndarray) -> Fingerprints:
    """Returns what is compared of thumbnails, uint8 [N, S, S] grey.

    A hash has 63 bits: whether each of the 8×8 lowest frequencies of the discrete cosine transform, without the mean,
    exceeds their median.
    """
    index = np.flatnonzero(thumbnails.std(axis=(1, 2)) >= MIN_CONTRAST)
    kept = thumbnails[index]
    frequencies = np.array([cv2.dct(one.astype(np.float32))[:8, :8] for one in kept]).reshape(-1, 8, 8)
    odd_columns = np.where(np.arange(8) % 2, -1, 1)  # Mirroring negates the odd horizontal frequencies.
    return Fingerprints(index, _pack(frequencies), _pack(frequencies * odd_columns), kept)


def best_matches(images: Fingerprints, others: Fingerprints) -> list[Match]:
    """Returns, for each image that looks like one of the others, its best match among them."""
    matches = []
    for rows in _blocks(images, len(others.hash)):
        correlation = np.zeros((len(rows.hash), len(others.hash)), np.float32)
        is_mirrored = np.zeros(correlation.shape, bool)
        for mirror, hashes in ((False, rows.hash), (True, rows.mirrored)):
            close = np.bitwise_count(hashes[:, None] ^ others.hash) <= MAX_DISTANCE
            i, j = np.flatnonzero(close.any(axis=1)), np.flatnonzero(close.any(axis=0))
            flipped = rows.thumbnails[i, :, ::-1] if mirror else rows.thumbnails[i]
            cells = np.ix_(i, j)
            new = np.where(close[cells], _unit(flipped) @ _unit(others.thumbnails[j]).T, 0)
            is_mirrored[cells] = np.where(new > correlation[cells], mirror, is_mirrored[cells])
            correlation[cells] = np.maximum(new, correlation[cells])
        counts = (correlation >= MIN_CORRELATION).sum(axis=1)
        for row in np.flatnonzero(counts):
            other = int(correlation[row].argmax())
            found = float(correlation[row, other]), bool(is_mirrored[row, other]), int(counts[row])
            matches.append(Match(int(rows.index[row]), int(others.index[other]), *found))
    return matches


def equal_images(images: Fingerprints) -> Iterator[tuple[int, int]]:
    """Yields pairs of indices (later, earlier) of images whose hashes are equal and whose thumbnails hardly differ."""
    order = np.argsort(images.hash, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(images.hash[order])) + 1):
        units = _unit(images.thumbnails[group])
        for position in range(1, len(group)):
            for earlier in np.flatnonzero(units[:position] @ units[position] >= SAME_CORRELATION):
                yield int(images.index[group[position]]), int(images.index[group[earlier]])


def _blocks(images: Fingerprints, others: int) -> Iterator[Fingerprints]:
    """Yields the images in blocks of at most BLOCK pairs with the others."""
    rows = max(1, BLOCK // max(others, 1))
    for start in range(0, len(images.hash), rows):
        part = slice(start, start + rows)
        yield Fingerprints(images.index[part], images.hash[part], images.mirrored[part], images.thumbnails[part])


def _pack(frequencies: np.ndarray) -> np.ndarray:
    """Returns the hashes uint64 [N] of frequencies [N, 8, 8]; the first bit, that of the mean, is 0."""
    frequencies = frequencies.reshape(-1, 64)
    bits = frequencies > np.median(frequencies[:, 1:], axis=1, keepdims=True)
    bits[:, 0] = False
    return np.packbits(bits, axis=1).view(">u8").ravel().astype(np.uint64)


def _unit(thumbnails: np.ndarray) -> np.ndarray:
    """Returns thumbnails [N, S, S] as vectors float32 [N, S²] whose dot products are correlations."""
    vectors = thumbnails.reshape(len(thumbnails), math.prod(thumbnails.shape[1:])).astype(np.float32)
    vectors -= vectors.mean(axis=1, keepdims=True)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
