"""A trained network that finds keypoints in images: load(RUN).predict(image)."""

import hashlib
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from aggpose_jax import networks
from aggpose_jax.config import Config, change, load_config, read_experiment
from aggpose_jax.data.images import read_image
from aggpose_jax.data.transforms import View, view_transform, warp
from aggpose_jax.errors import UserError
from aggpose_jax.estimation.estimator import make_estimator
from aggpose_jax.inference import tracking
from aggpose_jax.pose import geometry
from aggpose_jax.pose.codec import Codec
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.runtime import sharding
from aggpose_jax.training.initialise import load_file, load_run
from aggpose_jax.training.tasks import PoseTask, make_task
from aggpose_jax.weights.state_dicts import Weights
from aggpose_jax.weights.transfer import transfer

BATCH_SIZES = (1, 4, 16)  # crops go through the network in the smallest of these that takes them: three programs in all
Crop = tuple[np.ndarray, View]  # an image uint8 [H, W, 3] RGB, and what of it to look at


class Predictor:
    """Finds the keypoints of persons in images.

    Attributes:
      keypoint_set: names of the K keypoints, in the order of the results.
      aspect: width / height of the network's input.
      digest: of the parameters, so that results can say what made them.
    """

    def __init__(self, model: Any, params: Any, codec: Codec, keypoint_set: KeypointSet, flip_test: bool):
        """A network with its parameters; `load` makes one from a run."""
        self.keypoint_set = keypoint_set
        self.aspect = codec.input_size[1] / codec.input_size[0]
        self.digest = _digest(params)
        self._codec = codec
        self._params = jax.device_put(params, jax.devices()[0])
        self._estimate = make_estimator(
            lambda params, images: model.apply({"params": params}, images), codec, keypoint_set, flip_test
        )

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
        most = BATCH_SIZES[-1]
        parts = [crops[i : i + most] for i in range(0, len(crops), most)]
        running = [(len(part), self._start(part)) for part in parts]
        nothing = np.zeros((0, len(self.keypoint_set), 3), np.float32)
        return lambda: np.concatenate([nothing, *(np.asarray(found)[:count] for count, found in running)])

    def _start(self, crops: Sequence[Crop]) -> jax.Array:
        """One batch, filled up with its last crop, so that no number of crops needs a program of its own."""
        size = self._codec.input_size
        transforms = [view_transform(view, image.shape[1], size, self._codec.convention) for image, view in crops]
        pixels = [warp(image, transform, size) for (image, _), transform in zip(crops, transforms, strict=True)]
        missing = next(b for b in BATCH_SIZES if b >= len(crops)) - len(crops)
        pixels = np.stack(pixels + missing * pixels[-1:])
        to_image = np.stack([geometry.invert(t) for t in transforms + missing * transforms[-1:]]).astype(np.float32)
        return self._estimate(self._params, pixels, to_image)[0]


def load(run: str | pathlib.Path, config: str | None = None, overrides: Sequence[str] = ()) -> Predictor:
    """The network of a run, or of a weight file, ready to predict.

    On accelerators it computes in bfloat16 unless an override says otherwise.

    Args:
      run: folder of a run, whose best checkpoint is taken; or a file of weights (.safetensors, .pth).
      config: experiment that says the network of a weight file, such as configs/infant_l.py. A run has its own.
      overrides: KEY=VALUE of the configuration, such as flip_test=False.

    Raises:
      UserError: there is no such run or file, or its weights are of another network or keypoint set.
    """
    run = pathlib.Path(run)
    config = _config(run, config, overrides)
    if jax.default_backend() != "cpu" and not any(o.startswith("model.dtype=") for o in overrides):
        config.model.dtype = "bfloat16"
    task = make_task(config)
    if not isinstance(task, PoseTask):
        raise UserError(f"{run}: {config.task} finds no keypoints; give the run of a pose network")
    weights = load_run(run, sharding.make_mesh(-1, 1)) if run.is_dir() else load_file(run)
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    try:
        variables, account = transfer(Weights(networks.find(config.model.name), task.model, shapes), weights)
    except UserError as error:
        raise UserError(f"{run}: {error}") from None
    if account.other_head:
        there, here = account.keypoints
        raise UserError(f"{run}: finds {there} keypoints where keypoint_set has {here}; give a config of {there}")
    if account.new:
        raise UserError(f"{run}: lacks weights for {', '.join(account.new)}; give a trained pose network")
    return Predictor(task.model, variables["params"], task.pose_model.codec, task.keypoint_set, config.flip_test)


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


def _config(run: pathlib.Path, experiment: str | None, overrides: Sequence[str]) -> Config:
    if not run.exists():
        raise UserError(f"{run}: no such run or weight file")
    if run.is_file():
        if experiment is None:
            raise UserError(f"{run}: is a weight file; say its network with a config, such as configs/infant_l.py")
        return read_experiment(experiment, overrides)
    stored = load_config(run / "config.json")
    trained = stored.keypoint_set
    config = change(stored, overrides)
    if config.keypoint_set != trained:
        raise UserError(f"{run}: finds {trained}, not {config.keypoint_set}; give a run of that keypoint set")
    return config


def _digest(params: Any) -> str:
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()[:16]


def _text(box: np.ndarray) -> str:
    return "(" + ", ".join(f"{value:g}" for value in box) + ")"
