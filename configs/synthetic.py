"""The demo: a small AggPose learns synthetic infants on two CPU cores, without any file.

python -m aggpose_jax.main --config configs/synthetic.py
"""

from aggpose_jax.training.config import default_config, shrink


def get_config(arg: str = ""):
    """`:debug` takes seconds and learns nothing."""
    config = default_config()
    config.data = "synthetic"
    config.keypoint_set = "infant_21"
    config.synthetic_train = 4000
    config.synthetic_eval = 200
    config.baselines = True
    config.nms_threshold = 0.0

    config.model.name = "aggpose_tiny"
    config.model.drop_path = 0.0
    config.input_size = (128, 96)
    config.sigma = 1.5

    config.augmentation.half_body = 0.0
    config.batch_size = 16
    config.steps = 3000
    config.learning_rate = 2e-3
    config.schedule = "cosine"
    config.warmup_epochs = 0.2
    config.adam_epsilon = 1e-12  # the mean over pixels makes gradients as small as Adam's usual epsilon
    config.average_decay = 0.998

    config.eval_epochs = 2.0
    config.log_steps = 100
    return shrink(config) if arg == "debug" else config
