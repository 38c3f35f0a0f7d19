"""All keys of a configuration with their defaults; an experiment in configs/ sets only the keys that differ.

The defaults are the recipe of AggPose on COCO at 256×192 unless their comment states otherwise.
"""

import reprlib
import textwrap
from collections.abc import Mapping
from typing import Any

from aggpose_jax.config.config import Config
from aggpose_jax.config.validation import Key

KEYS: Mapping[str, Key | Mapping[str, Key]] = {
    "task": Key("pose", "pose estimation, or mae: pretraining of an encoder without labels", choices=("pose", "mae")),
    "seed": Key(0, "seed of new parameters and of all randomness in training; the data set does not depend on it"),

    # Pose: the keypoints, and how they are encoded as heatmaps and decoded from them.
    "keypoint_set": Key("coco_17", "coco_17, infant_21 or a file such as configs/keypoints/lsp_14.json"),
    "input_size": Key((256, 192), "height and width of the crops in pixels", positive=True, length=2),
    "upright": Key(
        False, "turn crops so that the shoulders of labelled persons are above their hips, as the tracker does"
    ),
    "protocol": Key(
        "aggpose", "conventions of crops, colours, flip test and decoding, of those who published a network's weights",
        choices=("aggpose", "simple_baseline", "hrnet", "hrformer", "mmpose", "transpose", "tokenpose"),
    ),
    "crop_convention": Key(
        "", "how a box is mapped to the pixels of a crop; empty follows the protocol", choices=("", "unbiased", "hrnet")
    ),
    "decoder": Key(
        "", "method that decodes heatmaps to keypoints; empty follows the protocol",
        choices=("", "dark", "quarter", "quarter_each_axis", "argmax"), may_change=True,
    ),
    "sigma": Key(2.0, "standard deviation of the target Gaussians, in heatmap pixels", positive=True),
    "rounded_targets": Key(False, "round the centres of the target Gaussians to heatmap pixels, and cut these off"),
    "blur_kernel": Key(
        11, "kernel size of the dark decoder's Gaussian blur, in heatmap pixels", positive=True, may_change=True
    ),
    "blur_sigma": Key(
        2.0, "standard deviation of the dark decoder's Gaussian blur, in heatmap pixels", positive=True, may_change=True
    ),

    # Network. Every key but the name is a field of the network's module. A key that a network has no field for must
    # keep its default.
    "model": {
        "name": Key("aggpose_l", "name of the network, as registered in aggpose_jax/networks/"),
        "drop_path": Key(0.1, "probability of dropping the residual branches of the last block in training", high=1),
        "dtype": Key(
            "float32", "data type of activations and matrix products", choices=("float32", "bfloat16")
        ),
        "fusion": Key(
            "released", "fusion of AggPose, as in its released weights or as in its paper",
            choices=("released", "paper"),
        ),
        "remat": Key(False, "recompute activations in the backward pass to save memory", may_change=True),
        "unroll": Key(0, "blocks in one iteration of a stage's loop; 0 chooses by backend", may_change=True),
        "decoder_width": Key(512, "width of the MAE's decoder", positive=True),
        "decoder_depth": Key(4, "number of blocks of the MAE's decoder"),
        "decoder_heads": Key(16, "number of attention heads of the MAE's decoder", positive=True),
        "mask_patch": Key(
            32, "side of the MAE's mask patches in pixels; 16 implies the full cost of dense", choices=(32, 16)
        ),
        "dense": Key(
            False, "MAE: encode masked patches too, which gives the same numbers at full cost", may_change=True
        ),
    },
    "init_from": Key(
        "", "run, weight file or pretrained: the initial parameters; a head for other keypoints is initialised anew"
    ),

    # Data. `coco` reads the COCO directory data_dir. `infant_pose` and `coco_keypoints` read the TensorFlow Datasets
    # data set that was built in data_dir. `synthetic` renders infants; `infants` reads the rendered infants that
    # `prepare infants` drew into folders of data_dir, one for each split. `frames` reads unlabelled frames: the shards
    # that `prepare frames` wrote to data_dir, or folders of images.
    "data": Key(
        "coco",
        "source of the data",
        choices=("coco", "infant_pose", "coco_keypoints", "synthetic", "infants", "frames"),
    ),
    "data_dir": Key("data/coco", "directory of the data set", may_change=True),
    "train_split": Key("train2017", "split of the data set to train on"),
    "eval_split": Key("val2017", "split of the data set to evaluate on", may_change=True),
    "detections": Key(
        "", "file in data_dir with the detected boxes to evaluate; empty evaluates the annotated boxes", may_change=True
    ),
    "category": Key("", "category of the persons, if several in the annotations have the same keypoints"),
    "synthetic_train": Key(4000, "number of synthetic infants to train on", positive=True),
    "synthetic_eval": Key(200, "number of synthetic infants to evaluate on", positive=True, may_change=True),
    "frame_stride": Key(
        30, "frames in a segment of a video or of a synthetic infant; an epoch draws one frame of each segment",
        positive=True,
    ),
    "excluded_videos": Key(
        "", "file with the name of one video per line, none of which is used; must list the videos of a test split"
    ),
    "held_out": Key(
        0.01, "fraction of the remaining videos that is held out to evaluate the MAE", positive=True, high=1
    ),
    "boxes": Key(
        "", "MAE: crops show the subject: truth for synthetic infants, else a folder that predict wrote for the films, "
        "or a JSON file of boxes, as prepare frames --crop takes it; empty crops random regions",
    ),
    "target_offset": Key(
        0, "MAE: the visible patches of a frame predict the masked patches of the frame this many frames later"
    ),
    "threads": Key(0, "threads that read and crop images; 0 uses one per CPU core, at most 8", may_change=True),
    "workers": Key(
        0, "data worker processes with that many threads each; 0 reads in the training process", may_change=True
    ),
    "most_corrupt": Key(
        0.01, "largest fraction of training images that may be unreadable", high=1, may_change=True
    ),

    # Augmentation. The group has the fields of data.transforms.Augmentation.
    "augmentation": {
        "half_body": Key(0.3, "probability of cropping the upper or the lower body only", high=1),
        "half_body_min_labelled": Key(8, "half-body crops need a person with more labelled keypoints than this"),
        "scale": Key(0.35, "the crop's sides are multiplied by a factor from N(1, scale), clipped to 1 ± scale"),
        "rotation": Key(45.0, "degrees; the crop is rotated by an angle from N(0, rotation), clipped to ± 2 rotation"),
        "rotation_probability": Key(0.6, "probability of rotating the crop", high=1),
        "flip": Key(0.5, "probability of a horizontal flip", high=1),
        "cutout": Key(0.0, "probability of blacking out a rectangle of the crop", high=1),
        "shift": Key(0.0, "the crop is moved by up to this fraction of its sides", high=1),
        "shift_probability": Key(1.0, "probability of moving the crop", high=1),
        "window": Key(0.0, "probability of a random window near the person instead of its crop", high=1),
    },
    "color_jitter": Key(0.5, "probability of changing brightness, contrast, saturation and hue", high=1),

    # Masked autoencoder (MAE).
    "mask_ratio": Key(0.75, "fraction of the mask patches that are masked", high=1),
    "target": Key(
        "pixels", "values that are predicted for a masked patch: its pixels, or a teacher's heatmaps",
        choices=("pixels", "heatmaps"),
    ),
    "teacher": Key("", "run, weight file or pretrained: the pose network whose heatmaps are predicted"),
    "normalise_pixels": Key(
        True, "predict the pixels of each mask patch normalised by its mean and standard deviation"
    ),
    "smallest_crop": Key(0.2, "smallest area of a random crop, as a fraction of the frame", positive=True, high=1),

    # Optimisation.
    "batch_size": Key(128, "number of images in a step, over all devices", positive=True),
    "accumulate": Key(
        1, "gradient accumulation: parts of a batch that are computed one after another to save memory", positive=True,
        may_change=True,  # not in networks with batch statistics, see `workdir.open_workdir`
    ),
    "epochs": Key(210.0, "number of epochs to train", may_change=True),
    "steps": Key(0, "number of steps to train; if not 0, it replaces epochs", may_change=True),
    "learning_rate": Key(1e-3, "learning rate after the warm-up"),
    "schedule": Key(
        "step", "step multiplies the learning rate by 0.1 at each of decay_epochs; cosine lowers it to lowest_rate",
        choices=("step", "cosine"),
    ),
    "lowest_rate": Key(0.0, "learning rate at the end of the cosine schedule"),
    "decay_epochs": Key((170.0, 200.0), "epochs at which the step schedule lowers the learning rate"),
    "warmup_epochs": Key(0.0, "length of the linear warm-up of the learning rate, in epochs"),
    "warmup_share": Key(
        0.0, "length of the warm-up as a fraction of all steps; if not 0, it replaces warmup_epochs", high=1
    ),
    "layer_decay": Key(
        1.0, "layer-wise learning-rate decay: the factor from each block to the block before it", high=1
    ),
    "betas": Key((0.9, 0.999), "beta1 and beta2 of AdamW", high=1, length=2),
    "adam_epsilon": Key(1e-8, "epsilon of AdamW", positive=True),
    "weight_decay": Key(0.01, "weight decay of AdamW"),
    "decay": Key((".*",), "regular expressions for the paths of the parameters that have weight decay", regex=True),
    "freeze": Key((), "regular expressions for the paths of the parameters that are not trained", regex=True),
    "hardest_keypoints": Key(
        0, "OHKM: how many keypoints of each crop, those of highest loss, enter the loss; 0 uses all"
    ),
    "clip_norm": Key(0.0, "largest global norm of the gradient; 0 does not clip"),
    "nonfinite": Key(
        "stop", "whether a loss, gradient or parameter that is not finite stops the run or skips the step",
        choices=("stop", "skip"),
    ),
    "average_decay": Key(
        0.0, "decay of the exponential moving average of the parameters, which is evaluated; 0 keeps no average", high=1
    ),
    "mesh": {
        "fsdp": Key(
            1, "number of devices over which parameters are split; batches are split over all devices",
            positive=True, may_change=True,
        ),
    },

    # Evaluation, logging and checkpoints.
    "flip_test": Key(True, "average the heatmaps of each crop and of its mirror image", may_change=True),
    "nms_threshold": Key(0.9, "OKS above which NMS removes a pose; 0 disables NMS", may_change=True),
    "soft_nms": Key(
        False, "multiply scores by exp(-OKS² / nms_threshold) instead of removing poses", may_change=True
    ),
    "eval_batch_size": Key(64, "number of images in a batch of the evaluation", positive=True, may_change=True),
    "eval_epochs": Key(10.0, "number of epochs between evaluations", positive=True, may_change=True),
    "patience": Key(
        0, "early stopping: evaluations without a better score after which a run stops; 0 never stops", may_change=True
    ),
    "baselines": Key(False, "after training, also evaluate the mean pose and exchanged crops", may_change=True),
    "log_steps": Key(50, "number of steps between logged metrics", positive=True, may_change=True),
    "checkpoint_steps": Key(1000, "number of steps between checkpoints", positive=True, may_change=True),
    "profile_steps": Key(
        (0, 0), "first and last step that are traced into WORKDIR/profile; 0 traces none", length=2, may_change=True
    ),
}  # fmt: skip


def default_config() -> Config:
    """Returns a new configuration with all defaults. Its keys are locked, so that an experiment cannot add one."""
    config: Config = _defaults(KEYS).lock()
    return config


def _defaults(keys: Mapping[str, Key | Mapping[str, Key]]) -> Config:
    config = Config()
    for name, key in keys.items():
        config[name] = key.default if isinstance(key, Key) else _defaults(key)
    return config


def flat_keys() -> dict[str, Key]:
    """Returns every key of `KEYS` by its dotted name, such as "model.name"."""
    flat: dict[str, Key] = {}
    for name, key in KEYS.items():
        flat |= {name: key} if isinstance(key, Key) else {f"{name}.{last}": member for last, member in key.items()}
    return flat


def check(config: Config) -> None:
    """Checks each value by itself, against its key. Fields that an experiment adds to `model` are not checked.

    Raises:
      UserError: a value is outside the range, the choices or the length that its key allows.
    """
    values = config.flat()
    for name, key in flat_keys().items():
        key.check(name, values[name])


def describe(config: Config) -> str:
    """Returns every key and its value as text: first the keys that differ from their defaults, then the others."""
    keys, values = flat_keys(), config.flat()
    changed = [name for name, value in values.items() if name not in keys or value != keys[name].default]
    unchanged = [name for name in values if name not in changed]
    return f"{_list('configuration', changed, values)}\n{_list('defaults', unchanged, values)}"


def _list(title: str, names: list[str], values: dict[str, Any]) -> str:
    text = ", ".join(f"{name}={reprlib.repr(values[name])}" for name in names)
    return textwrap.fill(text, 120, initial_indent=f"{title}: ")
