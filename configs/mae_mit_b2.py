"""Masked pretraining of MiT-B2 on unlabelled frames at 256×192.

python -m aggpose_jax.main --config configs/mae_mit_b2.py --config.data_dir=data/frames \
    --config.excluded_videos=data/test_videos.txt

256 million samples, 200 epochs of ImageNet. Nobody has published it for this network.
"""

from aggpose_jax.config import default_config, sized

BATCH = 4096


def get_config(arg: str = ""):
    """`:debug` shrinks the network and the run."""
    config = default_config()
    config.task = "mae"
    config.data = "frames"
    config.data_dir = "data/frames"
    config.model.name = "mae_b2"
    config.model.drop_path = 0.0
    config.color_jitter = 0.0

    config.batch_size = BATCH  # with less memory --config.accumulate=N
    config.steps = 62_500
    config.learning_rate = 1.5e-4 * BATCH / 256
    config.schedule = "cosine"
    config.warmup_share = 0.05
    config.betas = (0.9, 0.95)
    config.weight_decay = 0.05
    config.decay = (".*kernel",)  # neither biases nor norms
    config.clip_norm = 1.0

    config.eval_batch_size = 256
    config.eval_epochs = 10.0
    return sized(config, arg)
