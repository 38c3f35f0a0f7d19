"""Labels with every kind of keypoint, for tests of the formats."""

import pathlib

import numpy as np

from aggpose_jax.labels.label_set import LabelledImage, LabelSet
from aggpose_jax.pose.keypoints import INFANT_21, KeypointSet

SIZE = (240, 320)


def make_labels(keypoint_set: KeypointSet = INFANT_21, persons=(1, 2, 0, 1), files=None) -> LabelSet:
    """Returns labels of random keypoints, visible, hidden and without a label: an image for each number of persons."""
    rng = np.random.default_rng(0)
    files = files or [f"film_frame{number:06}.png" for number in range(len(persons))]
    images = []
    for number, (file, count) in enumerate(zip(files, persons, strict=True)):
        array = rng.uniform((-2, -2, 0), (320, 240, 3), (count, len(keypoint_set), 3))
        array[..., 2] = np.floor(array[..., 2])
        array[array[..., 2] == 0] = 0
        fields = {"id": 40 + number, "video_id": 7, "frame": 3 * number}
        images.append(LabelledImage(file, SIZE, array, fields))
    return LabelSet(keypoint_set, tuple(images), pathlib.Path("."))


def assert_same(expected: LabelSet, found: LabelSet, hidden=True) -> None:
    """Checks that two label sets have the same keypoints to .01 pixel, and the same hidden ones if `hidden`."""
    assert [image.file for image in found.images] == [image.file for image in expected.images]
    for one, other in zip(expected.images, found.images, strict=True):
        assert len(one.persons) == len(other.persons)
        np.testing.assert_allclose(other.persons[..., :2], one.persons[..., :2], atol=0.01)
        a, b = one.persons[..., 2], other.persons[..., 2]
        np.testing.assert_array_equal(b if hidden else b > 0, a if hidden else a > 0)
