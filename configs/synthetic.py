"""The demo: trains a small AggPose on synthetic infants, on two CPU cores and without any input file.

python -m aggpose_jax.main --config configs/synthetic.py
"""

from aggpose_jax.config import debug_variant, default_config, read_argument


def get_config(arg: str = ""):
    """Returns the experiment. `:debug` selects the debug variant: a minute of compiling, 20 steps, nothing learned."""
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
    config.sigma = 1.0  # The eyes, and an ankle and its toes, are only two heatmap pixels apart.

    # Synthetic infants already vary in roll and size; more augmentation only slows down learning.
    config.augmentation.half_body = 0.0
    config.augmentation.scale = 0.1
    config.augmentation.rotation_probability = 0.0
    config.batch_size = 8
    config.steps = 6000
    config.learning_rate = 1.5e-3
    config.schedule = "cosine"
    config.warmup_epochs = 0.2
    config.adam_epsilon = 1e-12  # The loss, a mean over pixels, has gradients as small as the default, 1e-8.
    config.average_decay = 0.998

    config.eval_epochs = 4.0
    config.log_steps = 100
    return debug_variant(config) if "debug" in words else config
