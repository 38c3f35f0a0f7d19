"""Pretraining in minutes on two CPU cores: a small masked autoencoder on frames of synthetic infants.

python -m aggpose_jax.main --config configs/mae_synthetic.py

The network predicts pixels that are not normalised per mask patch, so that its errors can be compared with those of an
interpolation. Its encoder is the encoder of aggpose_tiny; configs/finetune_synthetic.py fine-tunes it.
"""

from aggpose_jax.config import debug_variant, default_config, read_argument


def get_config(arg: str = ""):
    """Returns the experiment. `:debug` selects the debug variant, whose 20 steps are too few to learn anything."""
    words = read_argument(arg, "debug")
    config = default_config()
    config.task = "mae"
    config.data = "synthetic"
    config.synthetic_train = 4000
    config.synthetic_eval = 200
    config.frame_stride = 1  # One frame of each infant: more infants vary the data more than more frames do.
    # The frames, 240×320, are enlarged, so that a mask patch is smaller than one repeat of the bedding's pattern.
    config.input_size = (384, 512)
    config.smallest_crop = 0.5
    config.normalise_pixels = False
    config.color_jitter = 0.0

    config.model.name = "mae_tiny"
    config.model.drop_path = 0.0
    config.model.decoder_width, config.model.decoder_depth, config.model.decoder_heads = 128, 2, 8

    config.batch_size = 8
    config.steps = 1600
    config.learning_rate = 4e-3
    config.schedule = "cosine"
    config.warmup_share = 0.05
    config.betas = (0.9, 0.95)
    config.weight_decay = 0.05
    config.decay = (".*kernel",)
    config.clip_norm = 1.0

    config.eval_epochs = 1.6
    config.log_steps = 50
    return debug_variant(config) if "debug" in words else config
