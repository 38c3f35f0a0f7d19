"""Compares the images that a split lists with the files in its folder, and makes thumbnails of them."""

import os
import pathlib
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from aggpose_jax.data.audit.dataset import Split
from aggpose_jax.data.audit.findings import Finding, of_image
from aggpose_jax.data.folders import visible_files
from aggpose_jax.data.images import SUFFIXES, ImageError, read_annotated_image, read_preview

SIDE = 32  # height and width of a thumbnail in pixels


class Files(NamedTuple):
    """The files of the N images of a split.

    `thumbnails` uint8 [N, 32, 32] are grey, black where an image cannot be read. `identities` are the device and number
    of each file, equal for two names of one file; None where it is missing.
    """

    thumbnails: np.ndarray
    identities: list[tuple[int, int] | None]


class _File(NamedTuple):
    thumbnail: np.ndarray
    identity: tuple[int, int] | None
    finding: Finding | None


def check_files(split: Split) -> tuple[Files, list[Finding]]:
    """Reads all images of a split, and finds those that are missing, unreadable or of another size, and unlisted files.

    The size is compared as training does it: with that of the stored pixels, or else after the EXIF orientation. If the
    folder is missing, that is the only finding.
    """
    count = len(split.images)
    if not split.folder.is_dir():
        text = f"{split.folder}, the folder of the images, is missing; restore it or correct its name."
        missing = Files(np.zeros((count, SIDE, SIDE), np.uint8), [None] * count)
        return missing, [Finding("unreadable_split", split.name, text)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # OpenCV decodes without the lock of the interpreter.
        checked = pool.map(lambda image: _check_file(split, image), split.images)
        files = list(tqdm(checked, total=count, desc=split.name, unit="image", disable=None))
    findings = [file.finding for file in files if file.finding] + _unlisted(split)
    thumbnails = np.array([file.thumbnail for file in files], np.uint8).reshape(-1, SIDE, SIDE)
    return Files(thumbnails, [file.identity for file in files]), findings


def _check_file(split: Split, image: dict) -> _File:
    path = split.folder / image["file_name"]
    black = np.zeros((SIDE, SIDE), np.uint8)
    try:
        status = path.stat()
    except OSError:
        text = f"{path} is missing; restore the file, or remove its image and persons from the annotations."
        return _File(black, None, of_image("missing_image", split.name, image, text))
    identity = status.st_dev, status.st_ino
    try:
        thumbnail, size = read_preview(path, SIDE)
    except ImageError as error:
        return _File(black, identity, of_image("unreadable_image", split.name, image, f"{error}."))
    listed = image["height"], image["width"]
    if size == listed:
        return _File(thumbnail, identity, None)
    try:
        upright, _ = read_annotated_image(path, listed)
    except ImageError as error:
        return _File(thumbnail, identity, of_image("wrong_size", split.name, image, f"{error}."))
    grey = cv2.cvtColor(upright, cv2.COLOR_RGB2GRAY)
    return _File(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA), identity, None)


def _unlisted(split: Split) -> list[Finding]:
    """Returns one finding with the number of image files in the folder that no entry lists, if there are any."""
    paths = (path for path in visible_files(split.folder) if path.suffix.lower() in SUFFIXES)
    names = sorted(str(path.relative_to(split.folder)) for path in paths)
    unlisted = [name for name in names if str(pathlib.PurePath(name)) not in split.listed]
    if not unlisted:
        return []
    examples = ", ".join(unlisted[:3]) + (", …" if len(unlisted) > 3 else "")
    is_one = len(unlisted) == 1
    text = f"{len(unlisted)} image {'file is' if is_one else 'files are'} not listed: {examples}"
    return [Finding("unlisted_files", split.name, f"{text}; annotate or remove {'it' if is_one else 'them'}.")]
