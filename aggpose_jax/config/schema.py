"""Every key of a configuration with its default; an experiment in configs/ states what differs.

Values are the recipe of AggPose on COCO at 256×192 unless their comment says otherwise.
"""

import difflib
import json
import pathlib
import re
import reprlib
import textwrap
from typing import Any

import ml_collections

from aggpose_jax import io
from aggpose_jax.errors import UserError

# What a resumed run may do differently. Every other key makes another experiment, which belongs in another workdir.
CHANGEABLE = {
    "how long": ("epochs", "steps", "patience"),
    "where data lies": ("data_dir", "most_corrupt"),
    "how it is computed": (
        "threads", "workers", "mesh.data", "mesh.fsdp", "model.remat", "model.unroll", "model.dense",
    ),
    "evaluation": (
        "eval_split", "detections", "synthetic_eval", "eval_batch_size", "eval_epochs", "baselines", "flip_test",
        "decoder", "blur_kernel", "blur_sigma", "nms_threshold", "soft_nms",
    ),
    "logging and checkpoints": ("log_steps", "checkpoint_steps", "profile_steps"),
}  # fmt: skip

# What values make sense: names of CHOICES; no number is negative but mesh.data.
CHOICES = {
    "crop_convention": ("unbiased", "hrnet"),
    "decoder": ("dark", "quarter", "argmax"),
    "model.dtype": ("float32", "bfloat16", "float16"),
    "model.fusion": ("released", "paper"),
    "data": ("coco", "infant_pose", "coco_keypoints", "synthetic", "frames"),
    "schedule": ("step", "cosine"),
    "nonfinite": ("stop", "skip"),
}
POSITIVE = (
    "sigma", "blur_kernel", "blur_sigma", "synthetic_train", "synthetic_eval", "batch_size", "accumulate",
    "eval_batch_size", "eval_epochs", "log_steps", "checkpoint_steps", "adam_epsilon", "frame_stride", "held_out",
    "smallest_crop", "model.decoder_width", "model.decoder_heads",
)  # fmt: skip
AT_MOST_ONE = (
    "color_jitter", "augmentation.half_body", "augmentation.rotation_probability", "augmentation.flip",
    "augmentation.cutout", "model.drop_path", "average_decay", "betas", "layer_decay", "most_corrupt",
    "mask_ratio", "held_out", "smallest_crop", "warmup_share",
)  # fmt: skip
OF_TWO = ("input_size", "betas", "profile_steps")
PATTERNS = ("decay", "freeze")
_WORDS = {int: "a whole number", float: "a number", bool: "True or False", str: "text", tuple: "a tuple"}


class Config(ml_collections.ConfigDict):
    """A ConfigDict that answers an unknown key and a value of another type with a UserError."""

    def __setitem__(self, key: str, value: Any):
        if self.is_locked:
            if key not in self:
                raise UserError(self.unknown(key))
            value = _of_type(key, value, self[key])
        super().__setitem__(key, value)

    def unknown(self, key: str) -> str:
        """The message that there is no such key."""
        (nearest,) = difflib.get_close_matches(key, self.keys(), n=1, cutoff=0)
        return f"{key}: no such key; the nearest is {nearest}"

    def flat(self) -> dict[str, Any]:
        """Values by dotted key."""
        flat = {}
        for key, value in self.items():
            inner = value.flat() if isinstance(value, Config) else None
            flat |= {key: value} if inner is None else {f"{key}.{name}": v for name, v in inner.items()}
        return flat


def _of_type(key: str, value: Any, old: Any) -> Any:
    """The value, if it can replace the old one."""
    if isinstance(old, Config):
        raise UserError(f"{key}: has keys of its own; set one of them, such as {key}.{next(iter(old))}")
    if isinstance(old, float) and type(value) is int:
        return float(value)
    if isinstance(old, tuple) and isinstance(value, list | tuple):
        return tuple(_of_type(key, one, old[0]) for one in value) if old else tuple(value)
    if type(value) is not type(old):
        raise UserError(f"{key}: {value!r} is not {_WORDS[type(old)]}; give one, such as {old!r}")
    return value


def default_config() -> Config:
    """A new configuration; its keys are locked, so an experiment cannot invent one."""
    config = Config()
    config.task = "pose"  # or "mae": pretraining of a Mix Transformer on frames without labels
    config.seed = 0  # of new parameters and of everything drawn in training; the data stays the same

    # The pose: which keypoints, and how they are written as heatmaps and read back.
    config.keypoint_set = "coco_17"  # or "infant_21", or a file such as configs/keypoints/lsp_14.json
    config.input_size = (256, 192)  # height, width of a crop
    config.crop_convention = "unbiased"  # or "hrnet"
    config.sigma = 2.0  # of the target Gaussian, in heatmap pixels
    config.decoder = "dark"  # or "quarter", "argmax"
    config.blur_kernel = 11
    config.blur_sigma = 2.0

    # The network: `name` of models.VARIANTS, the rest are fields of its module.
    config.model = Config({"name": "aggpose_l", "drop_path": 0.1, "dtype": "float32"})
    config.model.fusion = "released"  # or "paper"; of AggPose
    config.model.remat = False
    config.model.unroll = 0  # blocks in one iteration of a stage's loop; 0 is what suits the platform
    config.model.decoder_width, config.model.decoder_depth, config.model.decoder_heads = 512, 4, 16  # of the MAE
    config.model.dense = False  # of the MAE: compute the masked units too, the same numbers at full cost
    config.init_from = ""  # run or weight file whose parameters are the start; a head of another K stays new

    # Data: "coco" reads the COCO directory data_dir, "infant_pose" and "coco_keypoints" the data set of TensorFlow
    # Datasets built there, "synthetic" draws infants; "frames" reads those of `prepare frames` there, or folders of
    # images, without labels.
    config.data = "coco"
    config.data_dir = "data/coco"
    config.train_split = "train2017"
    config.eval_split = "val2017"
    config.detections = ""  # file of detected boxes for evaluation, below data_dir; empty for ground-truth boxes
    config.synthetic_train = 4000  # number of drawn infants
    config.synthetic_eval = 200
    config.frame_stride = 30  # frames of a video of which an epoch shows one; a synthetic infant has so many
    config.excluded_videos = ""  # file with the name of a video in each line; those of a test split must be in it
    config.held_out = 0.01  # share of the other videos to evaluate the MAE on
    config.threads = 0  # that read and crop; 0 is as many as cores, up to 8
    config.most_corrupt = 0.01  # share of the training images that may be unreadable; above it a run stops
    config.workers = 0  # processes with so many threads each; 0 is none beside the training one

    config.augmentation = Config()  # fields of transforms.Augmentation, and
    config.augmentation.half_body = 0.3
    config.augmentation.half_body_min_labelled = 8
    config.augmentation.scale = 0.35
    config.augmentation.rotation = 45.0
    config.augmentation.rotation_probability = 0.6
    config.augmentation.flip = 0.5
    config.augmentation.cutout = 0.0
    config.color_jitter = 0.5  # probability

    # Masked autoencoder.
    config.mask_ratio = 0.75  # share of the 32×32 units that is not seen
    config.normalise_pixels = True  # predict the pixels of a unit without their mean and deviation
    config.smallest_crop = 0.2  # share of a frame that a random crop shows at least

    # Optimisation. Durations are in epochs; `steps` > 0 replaces `epochs`.
    config.batch_size = 128  # of all devices together
    config.accumulate = 1  # parts of a batch that go through the network one after another, to save memory
    config.epochs = 210.0
    config.steps = 0
    config.learning_rate = 1e-3
    config.schedule = "step"  # ×0.1 at decay_epochs, or "cosine"
    config.decay_epochs = (170.0, 200.0)
    config.warmup_epochs = 0.0
    config.warmup_share = 0.0  # of all steps; above 0 it replaces warmup_epochs
    config.layer_decay = 1.0  # factor of the learning rate from each block to the one before it
    config.betas = (0.9, 0.999)
    config.adam_epsilon = 1e-8
    config.weight_decay = 0.01
    config.decay = (".*",)  # regular expressions: parameter paths that decay
    config.freeze = ()  # regular expressions: parameter paths that stay as they are
    config.hardest_keypoints = 0  # so many of each crop count in the loss (OHKM); 0 counts all
    config.clip_norm = 0.0  # of the whole gradient; 0 does not clip
    config.nonfinite = "stop"  # the run at a loss, gradient or parameter that is not finite; or "skip" the step
    config.average_decay = 0.0  # of the moving average of parameters that is evaluated; 0 keeps none
    config.mesh = Config({"data": -1, "fsdp": 1})  # devices; -1 takes the rest

    # Evaluation, logging, checkpoints.
    config.flip_test = True
    config.nms_threshold = 0.9  # of OKS-NMS; 0 for none
    config.soft_nms = False  # poses of lower score stay; their scores fall by exp(-OKS² / nms_threshold)
    config.eval_batch_size = 64
    config.eval_epochs = 10.0
    config.patience = 0  # evaluations without a better AP after which a run stops; 0 never stops it
    config.baselines = False  # at the end also score the mean pose and exchanged crops
    config.log_steps = 50
    config.checkpoint_steps = 1000
    config.profile_steps = (0, 0)  # first and last step of a trace in WORKDIR/profile; 0 for none
    return config.lock()


def debug_variant(config: Config) -> Config:
    """The `:debug` form of an experiment: a tiny network and a few steps, the rest as it is."""
    config.model.name = config.model.name.rsplit("_", 1)[0] + "_tiny"
    if config.task == "mae":
        config.model.decoder_width, config.model.decoder_depth, config.model.decoder_heads = 64, 1, 4
    config.input_size = (128, 96)
    config.batch_size, config.eval_batch_size = 8, 8
    config.steps, config.log_steps, config.checkpoint_steps = 20, 5, 10
    config.synthetic_train, config.synthetic_eval = 64, 16
    return config


def sized(config: Config, argument: str) -> Config:
    """The form of an experiment that the argument of its get_config names: "" as it is, "debug" shrunk."""
    if argument not in ("", "debug"):
        raise UserError(f":{argument} is unknown; an experiment has no argument but :debug")
    return debug_variant(config) if argument else config


def describe(config: Config) -> str:
    """Every key and its value as text, those first that differ from the defaults."""
    default, mine = default_config().flat(), config.flat()
    own = [key for key, value in mine.items() if value != default.get(key)]
    rest = [key for key in mine if key not in own]
    return "\n".join(
        textwrap.fill(", ".join(f"{key}={reprlib.repr(mine[key])}" for key in keys), 120, initial_indent=f"{title}: ")
        for title, keys in (("configuration", own), ("by default", rest))
    )


def check(config: Config) -> None:
    """Raises a UserError for a value that makes no sense by itself."""
    for key, value in config.flat().items():
        if key in CHOICES and value not in CHOICES[key]:
            raise UserError(f"{key}: {value!r} is unknown; known are {', '.join(CHOICES[key])}")
        if key in OF_TWO and len(value) != 2:
            raise UserError(f"{key}: {value} are not two numbers; give two")
        for one in value if isinstance(value, tuple) else (value,):
            _check_one(key, one)


def _check_one(key: str, value: Any) -> None:
    if key in PATTERNS:
        try:
            re.compile(value)
        except (re.error, TypeError) as error:
            raise UserError(f"{key}: {value!r} is no regular expression ({error}); mend it") from None
    elif isinstance(value, int | float):
        if value < 0 and key != "mesh.data":
            raise UserError(f"{key}: {value} is negative; give 0 or more")
        if value == 0 and key in POSITIVE:
            raise UserError(f"{key}: is 0; give more")
        if value > 1 and key in AT_MOST_ONE:
            raise UserError(f"{key}: {value} is more than 1; give a share of 1")


def save_config(config: Config, path: pathlib.Path) -> None:
    """Writes a configuration as JSON, atomically."""
    io.write_json(path, config.to_dict(), indent=2)


def load_config(path: pathlib.Path) -> Config:
    """Reads what `save_config` wrote; a key that was not known then has its default.

    Raises:
      UserError: there is no such file, or it is no configuration.
    """
    try:
        stored = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; a run's folder holds config.json and checkpoints/") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a configuration ({error})") from None
    config = default_config()
    with config.unlocked():
        config.update(stored)
    return config
