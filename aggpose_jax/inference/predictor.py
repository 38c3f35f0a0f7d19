"""A trained network that finds keypoints in images: load(RUN).predict(image)."""

import functools
import hashlib
import pathlib
from collections.abc import Callable, Sequence

import jax
import numpy as np

from aggpose_jax.data.images import read_image
from aggpose_jax.data.transforms import View, view_transform, warp
from aggpose_jax.errors import UserError
from aggpose_jax.estimation.pose_model import PoseModel, Variables
from aggpose_jax.estimation.restore import restore
from aggpose_jax.inference import tracking
from aggpose_jax.pose import geometry

# Crops go through the network in the smallest of these batches that takes them; each size is a program to trace.
# A CPU computes 16 crops one by one as fast as together (AggPose-S at 256×192 and the demo were measured).
BATCH_SIZES = {"cpu": (1,)}
ACCELERATOR_BATCH_SIZES = (1, 4, 16)
Crop = tuple[np.ndarray, View]  # an image uint8 [H, W, 3] RGB, and what of it to look at


class Predictor:
    """Finds the keypoints of persons in images.

    Attributes:
      keypoint_set: names of the K keypoints, in the order of the results.
      aspect: width / height of the network's input.
      batch_sizes: how many crops the network takes at once, ascending.
    """

    def __init__(self, model: PoseModel, variables: Variables):
        """A network with its variables; `load` makes one from a run."""
        self.keypoint_set = model.keypoint_set
        self.aspect = model.codec.input_size[1] / model.codec.input_size[0]
        self.batch_sizes = BATCH_SIZES.get(jax.default_backend(), ACCELERATOR_BATCH_SIZES)
        self._model = model
        self._variables = jax.device_put(variables, jax.devices()[0])

    @functools.cached_property
    def digest(self) -> str:
        """A digest of the variables, so that results can say what made them."""
        return _digest(self._variables)

    def predict(self, image: str | pathlib.Path | np.ndarray, boxes: Sequence | np.ndarray | None = None) -> np.ndarray:
        """The keypoints of the persons in an image.

        Args:
          image: path of a JPEG or PNG file, which is turned upright by its EXIF orientation, or an array
            uint8 [H, W, 3] RGB.
          boxes: [P, 4] x, y, width, height of the persons in image pixels. Without boxes one infant is looked for,
            of any size and at any roll.

        Returns:
          float32 [P, K, 3]: x and y in image pixels, pixel centres at whole numbers, and the score of each keypoint
          of `keypoint_set`. Without boxes P is 1, or 0 where nothing is found.

        Raises:
          UserError: the image cannot be read, or a box has no size or lies outside of the image.
        """
        image = read_image(image, upright=True)
        if boxes is None:
            found = tracking.find(image, self.estimate, self.keypoint_set, self.aspect)
            return np.zeros((0, len(self.keypoint_set), 3), np.float32) if found is None else found.keypoints[None]
        return self.estimate([(image, self.view(box)) for box in check_boxes(boxes, image.shape[:2])])

    def view(self, box: np.ndarray) -> View:
        """What the network looks at for a box [4], as in evaluation."""
        return View(*geometry.crop_region(box, self.aspect))

    def estimate(self, crops: Sequence[Crop]) -> np.ndarray:
        """Keypoints float32 [N, K, 3] in image pixels of N crops."""
        return self.start(crops)()

    def start(self, crops: Sequence[Crop]) -> Callable[[], np.ndarray]:
        """Cuts N crops out and sends them to the device; what it returns waits for their keypoints [N, K, 3]."""
        most = self.batch_sizes[-1]
        parts = [crops[i : i + most] for i in range(0, len(crops), most)]
        running = [(len(part), self._start(part)) for part in parts]
        nothing = np.zeros((0, len(self.keypoint_set), 3), np.float32)
        return lambda: np.concatenate([nothing, *(np.asarray(found)[:count] for count, found in running)])

    def _start(self, crops: Sequence[Crop]) -> jax.Array:
        """One batch, filled up with its last crop, so that no number of crops needs a program of its own."""
        codec, size = self._model.codec, self._model.codec.input_size
        transforms = [view_transform(view, image.shape[1], size, codec.convention) for image, view in crops]
        pixels = [warp(image, transform, size) for (image, _), transform in zip(crops, transforms, strict=True)]
        missing = next(b for b in self.batch_sizes if b >= len(crops)) - len(crops)
        pixels = np.stack(pixels + missing * pixels[-1:])
        to_image = np.stack([geometry.invert(t) for t in transforms + missing * transforms[-1:]]).astype(np.float32)
        return self._model.estimate(self._variables, pixels, to_image)[0]


def load(run: str | pathlib.Path, config: str | None = None, overrides: Sequence[str] = ()) -> Predictor:
    """The network of a run, or of a weight file, ready to predict.

    Args:
      run: folder of a run, whose best checkpoint is taken; or a file of weights (.safetensors, .pth).
      config: experiment that says the network of a weight file, such as configs/infant_l.py. A run has its own.
      overrides: KEY=VALUE of the configuration, such as flip_test=False.

    Raises:
      UserError: there is no such run or file, or its weights are of another network or keypoint set.
    """
    restored = restore(pathlib.Path(run), config, overrides)
    return Predictor(restored.model, restored.variables)


def check_boxes(boxes: Sequence | np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Boxes as float64 [P, 4] (x, y, width, height).

    Raises:
      UserError: one has no size or nothing of it lies in the image of (height, width).
    """
    try:
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    except ValueError:
        raise UserError("boxes are not [P, 4]; give x, y, width and height of each person") from None
    height, width = image_size
    for box in boxes:
        x, y, w, h = box
        if not np.isfinite(box).all() or w <= 0 or h <= 0:
            raise UserError(f"box {_text(box)} has no size; give x, y, width and height in pixels")
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
