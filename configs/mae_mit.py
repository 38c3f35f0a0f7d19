"""Masked-autoencoder pretraining of MiT-B5, the encoder of AggPose-L, on unlabelled frames at 256×192.

python -m aggpose_jax.main --config configs/mae_mit.py --config.data_dir=data/frames \
    --config.excluded_videos=data/test_videos.txt

configs/mae_mit.py:b2 pretrains MiT-B2, the encoder of AggPose-S. A run sees 256 million samples, as many as in 200
epochs of ImageNet. No such pretraining of these networks has been published.
"""

from aggpose_jax.config import debug_variant, default_config, read_argument

BATCH = 4096


def get_config(arg: str = ""):
    """Returns the experiment. `:b5` (the default) or `:b2` selects the encoder, `:debug` the debug variant."""
    words = read_argument(arg, ("b5", "b2"), "debug")
    config = default_config()
    config.task = "mae"
    config.data = "frames"
    config.data_dir = "data/frames"
    config.model.name = "mae_b2" if "b2" in words else "mae_b5"
    config.model.drop_path = 0.0
    config.color_jitter = 0.0

    config.batch_size = BATCH  # If memory is short, compute a batch in N parts: --config.accumulate=N.
    config.steps = 62_500
    config.learning_rate = 1.5e-4 * BATCH / 256
    config.schedule = "cosine"
    config.warmup_share = 0.05
    config.betas = (0.9, 0.95)
    config.weight_decay = 0.05
    config.decay = (".*kernel",)  # Biases and the parameters of normalisation layers have no weight decay.
    config.clip_norm = 1.0

    config.eval_batch_size = 256
    config.eval_epochs = 10.0
    return debug_variant(config) if "debug" in words else config
