"""AggPose-L on COCO keypoints at 256×192 by the published recipe: 76.3 AP, 81.3 AR on val2017 (AggPose Table 3).

python -m aggpose_jax.main --config configs/coco_l.py --config.data_dir=data/coco

configs/coco_l.py:s trains AggPose-S (published: 75.2 AP, 80.3 AR). configs/coco_l.py:384 trains on crops of 384×288 by
the recipe of AggPose §4.1. `use_coco` describes the data directory. At 256×192 the last drop of the learning rate is
at epoch 240. The checkpoint with the best score on val2017 is kept.
"""

from aggpose_jax.config import debug_variant, default_config, read_argument, use_coco


def get_config(arg: str = ""):
    """Returns the experiment. `:s` selects AggPose-S, `:384` crops of 384×288, `:debug` the debug variant."""
    words = read_argument(arg, "s", "384", "debug")
    config = default_config()
    use_coco(config)
    config.model.name = "aggpose_s" if "s" in words else "aggpose_l"
    config.epochs = 500.0
    config.decay_epochs = (170.0, 200.0, 240.0)
    if "384" in words:
        config.input_size = (384, 288)
        config.sigma = 3.0
        config.batch_size = 64
        config.epochs = 400.0
        config.decay_epochs = (210.0, 280.0, 350.0)
    return debug_variant(config) if "debug" in words else config
