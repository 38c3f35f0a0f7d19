"""Trains a small AggPose on 100 synthetic infants, with or without pretraining, and evaluates it on 500 others.

python -m aggpose_jax.main --config configs/finetune_synthetic.py --seeds=0,1,2 --workdir runs/from_random
python -m aggpose_jax.main --config configs/finetune_synthetic.py --seeds=0,1,2 --workdir runs/from_mae \
    --config.init_from=runs/mae_synthetic

Both runs have the same number of steps and learning rate. In tests/endurance/few_labels, each start has the learning
rate that suits it.
"""

from aggpose_jax.config import debug_variant, default_config, read_argument


def get_config(arg: str = ""):
    """Returns the experiment. `:debug` selects the debug variant, whose 20 steps are too few to learn anything."""
    words = read_argument(arg, "debug")
    config = default_config()
    config.data = "synthetic"
    config.keypoint_set = "infant_21"
    config.synthetic_train = 100
    config.synthetic_eval = 500
    config.nms_threshold = 0.0

    config.model.name = "aggpose_tiny"
    config.model.drop_path = 0.0
    config.input_size = (128, 96)
    config.sigma = 1.0

    config.augmentation.half_body = 0.0
    config.augmentation.scale = 0.1
    config.augmentation.rotation_probability = 0.0
    config.batch_size = 8
    config.steps = 1500
    config.learning_rate = 1e-3
    config.schedule = "cosine"
    config.warmup_share = 0.05
    config.adam_epsilon = 1e-12  # The gradients are as small as the default, see configs/synthetic.py.
    config.average_decay = 0.99

    config.eval_epochs = 1000.0  # This exceeds the length of the run, so only its end is evaluated.
    config.log_steps = 100
    return debug_variant(config) if "debug" in words else config
