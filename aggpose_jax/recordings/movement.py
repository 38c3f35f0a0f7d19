"""Writes recordings as netCDF files that the Python package `movement` opens (movement.neuroinformatics.dev).

The layout is that of movement's data sets of poses: the variables position [time, space, keypoint, individual] in
pixels and confidence [time, keypoint, individual], NaN without a pose, and a coordinate variable for each dimension.
The file is netCDF 3 with 64-bit offsets, in which text is an array of bytes.
"""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from aggpose_jax import io
from aggpose_jax.recordings.recording import Recording

if TYPE_CHECKING:
    from scipy.io import netcdf_file

SPACE = ("x", "y")


def write(recording: Recording, path: pathlib.Path) -> None:
    """Writes a recording as a netCDF file of `movement`, atomically."""
    from scipy.io import netcdf_file

    persons = [f"person_{number}" for number in range(recording.position.shape[1])]
    with io.atomic_path(path) as temporary, netcdf_file(temporary, "w", version=2) as file:
        _add_attributes(file, recording)
        _add_numbers(file, "time", ("time",), recording.time)
        for name, words in (("space", SPACE), ("keypoint", recording.keypoint_set.names), ("individual", persons)):
            _add_words(file, name, words)
        position = recording.position.transpose(0, 3, 2, 1)
        _add_numbers(file, "position", ("time", "space", "keypoint", "individual"), position)
        confidence = recording.confidence.transpose(0, 2, 1)
        _add_numbers(file, "confidence", ("time", "keypoint", "individual"), confidence)


def _add_attributes(file: "netcdf_file", recording: Recording) -> None:
    facts = recording.facts
    texts = {
        "ds_type": "poses",
        "time_unit": "seconds",
        "source_software": facts.software,
        "source_file": facts.video,
        "network": facts.network,
    }
    for name, text in texts.items():
        setattr(file, name, text.encode())
    if np.isfinite(recording.frame_rate):
        file.fps = np.float64(recording.frame_rate)


def _add_numbers(file: "netcdf_file", name: str, dimensions: tuple[str, ...], values: np.ndarray) -> None:
    """Adds a variable of floating-point numbers, and those of its dimensions that the file does not have yet."""
    for dimension, size in zip(dimensions, values.shape, strict=True):
        if dimension not in file.dimensions:
            file.createDimension(dimension, size)
    file.createVariable(name, "f8", dimensions)[:] = values


def _add_words(file: "netcdf_file", name: str, words: Sequence[str]) -> None:
    """Adds a dimension and its coordinate variable of words, in UTF-8 and padded with zero bytes."""
    encoded = np.array([word.encode() for word in words])
    length = f"{name}_length"
    file.createDimension(name, len(words))
    file.createDimension(length, encoded.itemsize)
    variable = file.createVariable(name, "c", (name, length))
    variable[:] = encoded.view("S1").reshape(len(words), -1)
    variable._Encoding = b"utf-8"
