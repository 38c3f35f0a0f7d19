"""Predictor: a trained network that finds keypoints in images, as in load(RUN).predict(image)."""

import hashlib
import pathlib
from collections.abc import Callable, Sequence

import jax
import numpy as np

from aggpose_jax.data.images import read_image
from aggpose_jax.data.transforms import warp
from aggpose_jax.data.views import View, view_transform
from aggpose_jax.errors import UserError
from aggpose_jax.estimation import pretrained
from aggpose_jax.estimation.pose_model import PoseModel, Variables
from aggpose_jax.estimation.restore import restore
from aggpose_jax.inference import tracking
from aggpose_jax.networks.stacking import for_inference
from aggpose_jax.pose import geometry

# Crops go through the network in the smallest of these batches that holds them. Every size is compiled separately, so
# there are few. A CPU is as fast with 16 single crops as with a batch of 16 (measured with AggPose-S at 256×192 and
# with the demo network).
BATCH_SIZES = {"cpu": (1,)}
ACCELERATOR_BATCH_SIZES = (1, 4, 16)
Crop = tuple[np.ndarray, View]  # an image uint8 [H, W, 3] RGB, and the view that is cut out of it


class Predictor:
    """Finds the keypoints of persons in images.

    Attributes:
      keypoint_set: names of the K keypoints, in the order of the results.
      aspect: width / height of the network's input.
      protocol: how boxes become crops.
      batch_sizes: numbers of crops in the batches that the network processes, ascending.
      digest: hexadecimal digest of the variables, which identifies the network that produced a result.
    """

    def __init__(self, model: PoseModel, variables: Variables):
        """Creates a predictor from a model and its variables; use `load` to create one from a run."""
        self.keypoint_set = model.keypoint_set
        self.aspect = model.codec.input_size[1] / model.codec.input_size[0]
        self.protocol = model.protocol
        self.batch_sizes = BATCH_SIZES.get(jax.default_backend(), ACCELERATOR_BATCH_SIZES)
        self.digest = _digest(variables)
        self._model = model
        self._variables = jax.device_put(for_inference(variables), jax.devices()[0])

    def predict(self, image: str | pathlib.Path | np.ndarray, boxes: Sequence | np.ndarray | None = None) -> np.ndarray:
        """Returns the keypoints of the persons in an image.

        Args:
          image: path of an image file, which is turned upright by its EXIF orientation, or an array
            uint8 [H, W, 3] RGB.
          boxes: [P, 4] x, y, width, height of the persons in image pixels. None searches the image for one infant
            of any size and roll.

        Returns:
          float32 [P, K, 3]: x and y in image pixels, with pixel centres at integers, and the score of each keypoint
          of `keypoint_set`. Without boxes, P is 1, or 0 if no infant is found.

        Raises:
          UserError: the image cannot be read, or a box is empty or lies outside of the image.
        """
        image = read_image(image, upright=True)
        if boxes is None:
            found = tracking.find_infant(image, self.estimate, self.keypoint_set, self.aspect)
            return np.zeros((0, len(self.keypoint_set), 3), np.float32) if found is None else found.keypoints[None]
        return self.estimate([(image, self.view(box)) for box in check_boxes(boxes, image.shape[:2])])

    def view(self, box: np.ndarray) -> View:
        """Returns the view that is cut out for a box [4] (x, y, width, height), the same as in evaluation."""
        return View(*geometry.crop_region(box, self.aspect, pixel_center=self.protocol.pixel_center))

    def estimate(self, crops: Sequence[Crop]) -> np.ndarray:
        """Returns the keypoints float32 [N, K, 3] of N crops, in image pixels."""
        return self.start(crops)()

    def start(self, crops: Sequence[Crop]) -> Callable[[], np.ndarray]:
        """Cuts out N crops and starts the network; returns a function that waits for the keypoints [N, K, 3]."""
        largest = self.batch_sizes[-1]
        parts = [crops[i : i + largest] for i in range(0, len(crops), largest)]
        running = [(len(part), self._start_batch(part)) for part in parts]
        empty = np.zeros((0, len(self.keypoint_set), 3), np.float32)
        return lambda: np.concatenate([empty, *(np.asarray(keypoints)[:count] for count, keypoints in running)])

    def _start_batch(self, crops: Sequence[Crop]) -> jax.Array:
        """Starts the network on one batch, padded with its last crop so that only `batch_sizes` are compiled."""
        codec, size = self._model.codec, self._model.codec.input_size
        transforms = [view_transform(view, image.shape[1], size, codec.convention) for image, view in crops]
        images = [warp(image, transform, size) for (image, _), transform in zip(crops, transforms, strict=True)]
        missing = next(b for b in self.batch_sizes if b >= len(crops)) - len(crops)
        pixels = np.stack(images + missing * images[-1:])
        to_image = np.stack([geometry.invert(t) for t in transforms + missing * transforms[-1:]]).astype(np.float32)
        return self._model.estimate(self._variables, pixels, to_image)[0]


def load(
    run: str | pathlib.Path = pretrained.NAME, config: str | None = None, overrides: Sequence[str] = ()
) -> Predictor:
    """Returns a predictor with the network of a run, of a weight file or of the package.

    Args:
      run: folder of a run, whose best checkpoint is used, a weight file (.safetensors, .pth), or "pretrained" for the
        weights that come with the package, which find the 21 keypoints of infants.
      config: experiment that describes the network of a weight file, such as "infant_l". None for a run, which
        stores its own configuration.
      overrides: KEY=VALUE changes of the configuration, such as flip_test=False.

    Raises:
      UserError: there is no such run or file, or its weights belong to another network or keypoint set.
    """
    restored = restore(pathlib.Path(run), config, overrides)
    return Predictor(restored.model, restored.variables)


def check_boxes(boxes: Sequence | np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Returns boxes as float64 [P, 4] (x, y, width, height) after checking them.

    Args:
      boxes: P boxes in image pixels.
      image_size: (height, width) of the image.

    Raises:
      UserError: a box is empty, not finite or does not overlap the image.
    """
    try:
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    except ValueError:
        raise UserError("boxes are not [P, 4]; give x, y, width and height of each person") from None
    height, width = image_size
    for box in boxes:
        x, y, w, h = box
        if not np.isfinite(box).all() or w <= 0 or h <= 0:
            raise UserError(f"box {_text(box)} is empty or not finite; give x, y, width and height in pixels")
        if x + w <= 0 or y + h <= 0 or x >= width or y >= height:
            raise UserError(f"box {_text(box)} lies outside of the {width} × {height} image; give a box in the image")
    return boxes


def _digest(variables: Variables) -> str:
    digest = hashlib.sha256()
    for collection, tree in variables.items():
        prefix = "" if collection == "params" else collection
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            digest.update(f"{prefix}{jax.tree_util.keystr(path)}".encode())
            digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()[:16]


def _text(box: np.ndarray) -> str:
    return "(" + ", ".join(f"{value:g}" for value in box) + ")"
