"""Every key of a configuration, stated once; an experiment in configs/ sets what differs from the defaults.

The defaults are the recipe of AggPose on COCO at 256×192 unless their comment says otherwise.
"""

import reprlib
import textwrap
from typing import Any

from aggpose_jax.config.config import Config
from aggpose_jax.config.validation import Key

KEYS = {
    "task": Key("pose", "mae is the pretraining of an encoder on frames without labels", choices=("pose", "mae")),
    "seed": Key(0, "of new parameters and of everything random in training; the data stays the same"),

    # The pose: which keypoints, and how they become heatmaps and are read back.
    "keypoint_set": Key("coco_17", "or infant_21, or a file such as configs/keypoints/lsp_14.json"),
    "input_size": Key((256, 192), "height and width of a crop in pixels", positive=True, length=2),
    "crop_convention": Key("unbiased", "how a box maps to the pixels of a crop", choices=("unbiased", "hrnet")),
    "sigma": Key(2.0, "of the target Gaussian, in heatmap pixels", positive=True),
    "decoder": Key("dark", "of heatmaps to keypoints", choices=("dark", "quarter", "argmax"), may_change=True),
    "blur_kernel": Key(11, "size of the blur of the dark decoder, in heatmap pixels", positive=True, may_change=True),
    "blur_sigma": Key(2.0, "of the blur of the dark decoder, in heatmap pixels", positive=True, may_change=True),

    # The network. All fields but the name are fields of its module; one that it lacks keeps its default.
    "model": {
        "name": Key("aggpose_l", "of the network, in the registry of networks/"),
        "drop_path": Key(0.1, "probability of leaving out the last block's branch in training", high=1),
        "dtype": Key("float32", "of activations and matrix products", choices=("float32", "bfloat16")),
        "fusion": Key("released", "of AggPose: as in its weights or as in its paper", choices=("released", "paper")),
        "remat": Key(False, "compute activations again in the backward pass, to save memory", may_change=True),
        "unroll": Key(0, "blocks in one iteration of a stage's loop; 0 is what suits the backend", may_change=True),
        "decoder_width": Key(512, "of the MAE's decoder", positive=True),
        "decoder_depth": Key(4, "blocks of the MAE's decoder"),
        "decoder_heads": Key(16, "of the MAE's decoder", positive=True),
        "dense": Key(False, "encode masked patches of the MAE too: the same numbers at full cost", may_change=True),
    },
    "init_from": Key("", "run or weight file with the initial parameters; the head of other keypoints stays new"),

    # Data. `coco` reads the COCO directory data_dir, `infant_pose` and `coco_keypoints` the data set of TensorFlow
    # Datasets built there, `synthetic` draws infants; `frames` reads those of `prepare frames` there, or folders of
    # images, without labels.
    "data": Key(
        "coco", "what is in data_dir", choices=("coco", "infant_pose", "coco_keypoints", "synthetic", "frames")
    ),
    "data_dir": Key("data/coco", "folder of the data", may_change=True),
    "train_split": Key("train2017", "of the data, to train on"),
    "eval_split": Key("val2017", "of the data, to evaluate on", may_change=True),
    "detections": Key("", "file in data_dir of the boxes to evaluate; without one the annotated ones", may_change=True),
    "synthetic_train": Key(4000, "number of drawn infants to train on", positive=True),
    "synthetic_eval": Key(200, "number of drawn infants to evaluate on", positive=True, may_change=True),
    "frame_stride": Key(30, "frames of a video, or of a drawn infant, of which an epoch shows one", positive=True),
    "excluded_videos": Key("", "file with the name of a video in each line; must name those of a test split"),
    "held_out": Key(0.01, "fraction of the other videos on which the MAE is evaluated", positive=True, high=1),
    "threads": Key(0, "that read and crop; 0 is as many as cores, up to 8", may_change=True),
    "workers": Key(0, "processes with so many threads each; 0 is none beside the training one", may_change=True),
    "most_corrupt": Key(0.01, "largest fraction of unreadable training images", high=1, may_change=True),

    # Augmentation. The group has the fields of data.transforms.Augmentation.
    "augmentation": {
        "half_body": Key(0.3, "probability of showing the upper or lower body alone", high=1),
        "half_body_min_labelled": Key(8, "only persons with more labelled keypoints are halved"),
        "scale": Key(0.35, "the crop's sides are multiplied by N(1, scale), clipped to 1 ± scale"),
        "rotation": Key(45.0, "degrees; the crop turns by N(0, rotation), clipped to ± 2 rotation"),
        "rotation_probability": Key(0.6, "of turning at all", high=1),
        "flip": Key(0.5, "probability of mirroring left and right", high=1),
        "cutout": Key(0.0, "probability that a rectangle of the crop is black", high=1),
    },
    "color_jitter": Key(0.5, "probability of changing brightness, contrast, saturation and hue", high=1),

    # Masked autoencoder (MAE).
    "mask_ratio": Key(0.75, "fraction of the 32×32 mask patches that the encoder does not see", high=1),
    "normalise_pixels": Key(True, "predict the pixels of a mask patch without their mean and deviation"),
    "smallest_crop": Key(0.2, "fraction of a frame that a random crop shows at least", positive=True, high=1),

    # Optimisation.
    "batch_size": Key(128, "images in a step, on all devices together", positive=True),
    "accumulate": Key(1, "parts of a batch that are computed one after another, to save memory", positive=True),
    "epochs": Key(210.0, "to train", may_change=True),
    "steps": Key(0, "to train instead of epochs, if not 0", may_change=True),
    "learning_rate": Key(1e-3, "after the warm-up"),
    "schedule": Key("step", "step is ×0.1 at decay_epochs", choices=("step", "cosine")),
    "decay_epochs": Key((170.0, 200.0), "of the step schedule"),
    "warmup_epochs": Key(0.0, "in which the learning rate rises linearly"),
    "warmup_share": Key(0.0, "fraction of all steps, instead of warmup_epochs, if not 0", high=1),
    "layer_decay": Key(1.0, "factor of the learning rate from each block to the one before it", high=1),
    "betas": Key((0.9, 0.999), "of AdamW", high=1, length=2),
    "adam_epsilon": Key(1e-8, "of AdamW", positive=True),
    "weight_decay": Key(0.01, "of AdamW"),
    "decay": Key((".*",), "regular expressions: parameter paths with weight decay", regex=True),
    "freeze": Key((), "regular expressions: parameter paths that do not change", regex=True),
    "hardest_keypoints": Key(0, "so many of each crop count in the loss (OHKM); 0 is all"),
    "clip_norm": Key(0.0, "largest norm of the whole gradient; 0 does not clip"),
    "nonfinite": Key(
        "stop", "at a loss, gradient or parameter that is not finite: stop the run or skip the step",
        choices=("stop", "skip"),
    ),
    "average_decay": Key(0.0, "of the moving average of parameters, which is evaluated; 0 keeps none", high=1),
    "mesh": {
        "fsdp": Key(1, "devices that share the parameters; batches are split over all", positive=True, may_change=True),
    },

    # Evaluation, logging, checkpoints.
    "flip_test": Key(True, "average the heatmaps of a crop and of its mirror image", may_change=True),
    "nms_threshold": Key(0.9, "OKS above which NMS drops a pose; 0 does no NMS", may_change=True),
    "soft_nms": Key(False, "lower scores by exp(-OKS² / nms_threshold) instead of dropping poses", may_change=True),
    "eval_batch_size": Key(64, "images", positive=True, may_change=True),
    "eval_epochs": Key(10.0, "epochs between evaluations", positive=True, may_change=True),
    "patience": Key(0, "evaluations without a better score after which a run stops; 0 is never", may_change=True),
    "baselines": Key(False, "at the end also evaluate the mean pose and exchanged crops", may_change=True),
    "log_steps": Key(50, "steps between lines of metrics", positive=True, may_change=True),
    "checkpoint_steps": Key(1000, "steps between checkpoints", positive=True, may_change=True),
    "profile_steps": Key((0, 0), "first and last step traced in WORKDIR/profile; 0 is none", length=2, may_change=True),
}  # fmt: skip


def default_config() -> Config:
    """A new configuration; its keys are locked, so an experiment cannot invent one."""
    return _defaults(KEYS).lock()


def _defaults(keys: dict[str, Any]) -> Config:
    config = Config()
    for name, key in keys.items():
        config[name] = key.default if isinstance(key, Key) else _defaults(key)
    return config


def flat_keys() -> dict[str, Key]:
    """Every key by its dotted name."""
    flat = {}
    for name, key in KEYS.items():
        flat |= {name: key} if isinstance(key, Key) else {f"{name}.{last}": inner for last, inner in key.items()}
    return flat


def check(config: Config) -> None:
    """Raises a UserError for a value that makes no sense by itself; fields that an experiment adds to `model` pass."""
    values = config.flat()
    for name, key in flat_keys().items():
        key.check(name, values[name])


def describe(config: Config) -> str:
    """Every key and its value as text, those first that differ from the defaults."""
    keys, mine = flat_keys(), config.flat()
    own = [name for name, value in mine.items() if name not in keys or value != keys[name].default]
    rest = [name for name in mine if name not in own]
    return f"{_list('configuration', own, mine)}\n{_list('by default', rest, mine)}"


def _list(title: str, names: list[str], values: dict[str, Any]) -> str:
    text = ", ".join(f"{name}={reprlib.repr(values[name])}" for name in names)
    return textwrap.fill(text, 120, initial_indent=f"{title}: ")
