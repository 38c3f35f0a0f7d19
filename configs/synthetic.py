"""The demo: a small AggPose learns synthetic infants on two CPU cores, without any file.

python -m aggpose_jax.main --config configs/synthetic.py
"""

from aggpose_jax.config import debug_variant, default_config, read_argument


def get_config(arg: str = ""):
    """`:debug` compiles for a minute, takes 20 steps and learns nothing."""
    words = read_argument(arg, "debug")
    config = default_config()
    config.data = "synthetic"
    config.keypoint_set = "infant_21"
    config.synthetic_train = 4000
    config.synthetic_eval = 200
    config.baselines = True
    config.nms_threshold = 0.0

    config.model.name = "aggpose_demo"
    config.model.drop_path = 0.0
    config.input_size = (128, 96)
    config.sigma = 1.0  # eyes, or ankle and toes, are two heatmap pixels apart

    # The infants are rolled and sized variously as they are drawn; more of it only slows learning.
    config.augmentation.half_body = 0.0
    config.augmentation.scale = 0.1
    config.augmentation.rotation_probability = 0.0
    config.batch_size = 8
    config.steps = 6000
    config.learning_rate = 1.5e-3
    config.schedule = "cosine"
    config.warmup_epochs = 0.2
    config.adam_epsilon = 1e-12  # the mean over pixels makes gradients as small as Adam's usual epsilon
    config.average_decay = 0.998

    config.eval_epochs = 4.0
    config.log_steps = 100
    return debug_variant(config) if "debug" in words else config
