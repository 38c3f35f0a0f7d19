"""The formats of annotation tools, by name."""

import pathlib
from collections.abc import Callable
from typing import NamedTuple

from aggpose_jax.labels import coco, cvat, deeplabcut, labelme
from aggpose_jax.labels.label_set import LabelSet


class Format(NamedTuple):
    """How labels are read and written, and where the images of a written folder lie.

    Attributes:
      read: returns the labels of a file or folder.
      write: writes the label files of a folder, whose images are there already.
      images: the folder of the images in a written folder.
      is_project: the images of each video are in a folder VIDEO, as imgNNN.png.
    """

    read: Callable[[pathlib.Path], LabelSet]
    write: Callable[[LabelSet, pathlib.Path], None]
    images: str
    is_project: bool = False


FORMATS = {
    "coco": Format(coco.read, coco.write, "images"),
    "cvat": Format(cvat.read, cvat.write, "images"),
    "deeplabcut": Format(deeplabcut.read, deeplabcut.write, deeplabcut.FOLDER, is_project=True),
    "labelme": Format(labelme.read, labelme.write, "."),
}
