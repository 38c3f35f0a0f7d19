"""Every key of a configuration with its default; an experiment in configs/ states what differs.

Values are the recipe of AggPose on COCO at 256×192 unless their comment says otherwise.
"""

import json
import pathlib

import ml_collections

from aggpose_jax.errors import UserError


def default_config() -> ml_collections.ConfigDict:
    """A new configuration; its keys are locked, so an experiment cannot invent one."""
    config = ml_collections.ConfigDict()
    config.task = "pose"
    config.seed = 0

    # The pose: which keypoints, and how they are written as heatmaps and read back.
    config.keypoint_set = "coco_17"  # or "infant_21", or a file such as configs/keypoints/lsp_14.json
    config.input_size = (256, 192)  # height, width of a crop
    config.crop_convention = "unbiased"  # or "hrnet"
    config.sigma = 2.0  # of the target Gaussian, in heatmap pixels
    config.decoder = "dark"  # or "quarter", "argmax"
    config.blur_kernel = 11
    config.blur_sigma = 2.0

    # The network: `name` of models.VARIANTS, the rest are fields of its module.
    config.model = ml_collections.ConfigDict({"name": "aggpose_l", "drop_path": 0.1, "dtype": "float32"})
    config.model.remat = False
    config.model.unroll = 0  # blocks in one iteration of a stage's loop; 0 is what suits the platform
    config.init_from = ""  # run or weight file whose parameters are the start; a head of another K stays new

    # Data: "coco" reads the COCO directory data_dir, "infant_pose" and "coco_keypoints" the data set of TensorFlow
    # Datasets built there, "synthetic" draws infants.
    config.data = "coco"
    config.data_dir = "data/coco"
    config.train_split = "train2017"
    config.eval_split = "val2017"
    config.detections = ""  # file of detected boxes for evaluation, below data_dir; empty for ground-truth boxes
    config.synthetic_train = 4000  # number of drawn infants
    config.synthetic_eval = 200
    config.threads = 2  # that read and crop
    config.most_corrupt = 0.01  # share of the training images that may be unreadable; above it a run stops
    config.workers = 0  # processes with so many threads each; 0 is none beside the training one

    config.augmentation = ml_collections.ConfigDict()  # fields of transforms.Augmentation, and
    config.augmentation.half_body = 0.3
    config.augmentation.half_body_min_labelled = 8
    config.augmentation.scale = 0.35
    config.augmentation.rotation = 45.0
    config.augmentation.rotation_probability = 0.6
    config.augmentation.flip = 0.5
    config.augmentation.cutout = 0.0
    config.color_jitter = 0.5  # probability

    # Optimisation. Durations are in epochs; `steps` > 0 replaces `epochs`.
    config.batch_size = 128  # of all devices together
    config.accumulate = 1  # parts of a batch that go through the network one after another, to save memory
    config.epochs = 210.0
    config.steps = 0
    config.learning_rate = 1e-3
    config.schedule = "step"  # ×0.1 at decay_epochs, or "cosine"
    config.decay_epochs = (170.0, 200.0)
    config.warmup_epochs = 0.0
    config.layer_decay = 1.0  # factor of the learning rate from each block to the one before it
    config.betas = (0.9, 0.999)
    config.adam_epsilon = 1e-8
    config.weight_decay = 0.01
    config.decay = (".*",)  # regular expressions: parameter paths that decay
    config.freeze = ()  # regular expressions: parameter paths that stay as they are
    config.hardest_keypoints = 0  # so many of each crop count in the loss (OHKM); 0 counts all
    config.clip_norm = 0.0  # of the whole gradient; 0 does not clip
    config.average_decay = 0.0  # of the moving average of parameters that is evaluated; 0 keeps none
    config.mesh = ml_collections.ConfigDict({"data": -1, "fsdp": 1})  # devices; -1 takes the rest

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
    return config.lock()


def shrink(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """The `:debug` form of an experiment: a tiny network and a few steps, the rest as it is."""
    with config.unlocked():
        config.model.name = config.model.name.rsplit("_", 1)[0] + "_tiny"
    config.input_size = (128, 96)
    config.batch_size, config.eval_batch_size = 8, 8
    config.steps, config.log_steps, config.checkpoint_steps = 20, 5, 10
    config.synthetic_train, config.synthetic_eval = 64, 16
    return config


def save_config(config: ml_collections.ConfigDict, path: pathlib.Path) -> None:
    """Writes a configuration as JSON."""
    path.write_text(json.dumps(config.to_dict(), indent=2) + "\n")


def load_config(path: pathlib.Path) -> ml_collections.ConfigDict:
    """Reads what `save_config` wrote.

    Raises:
      UserError: if there is no such file.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; a run's folder holds config.json and checkpoints/")
    config = ml_collections.ConfigDict(default_config(), convert_dict=True)
    with config.unlocked():
        config.update(json.loads(path.read_text()))
    return config
