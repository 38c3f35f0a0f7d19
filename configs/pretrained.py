"""The network whose weights come with the package: a small AggPose, trained on synthetic infants alone.

launch/pretrained.sh runs/pretrained
"""

from aggpose_jax.config import debug_variant, default_config, read_argument


def get_config(arg: str = ""):
    """Returns the experiment. `:debug` selects the debug variant: a tiny network and 20 steps.

    Training starts from the demo, configs/synthetic.py. From random parameters the network would learn little in its
    first thousand steps on infants in all their variety. A second round starts from the first one.
    """
    words = read_argument(arg, "debug")
    config = default_config()
    config.data, config.data_dir = "infants", "data/infants"
    config.train_split, config.eval_split = "train", "val"
    config.keypoint_set = "infant_21"
    config.upright = True  # The tracker turns crops, so that the network need not know infants at every angle.
    config.nms_threshold = 0.0

    config.model.name = "aggpose_demo"
    config.model.drop_path = 0.0
    config.input_size = (128, 96)
    config.sigma = 1.0  # The eyes, and an ankle and its toes, are only two heatmap pixels apart.

    # The crop of a tracker is that of the frame before. The search starts from windows that may show part of an infant
    # or none, turned by up to 45°.
    config.augmentation.half_body = 0.0
    config.augmentation.scale = 0.25
    config.augmentation.rotation = 25.0
    config.augmentation.cutout = 0.1
    config.augmentation.shift = 0.1
    config.augmentation.window = 0.05
    config.batch_size = 16
    config.steps = 12000
    config.learning_rate = 1e-3
    config.schedule = "cosine"
    config.warmup_share = 0.02
    config.adam_epsilon = 1e-12  # The loss, a mean over pixels, has gradients as small as the default, 1e-8.
    config.average_decay = 0.999

    config.eval_epochs = 1.0
    config.log_steps = 100
    return debug_variant(config) if "debug" in words else config
