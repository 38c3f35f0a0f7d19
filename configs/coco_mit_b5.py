"""The pose model on MiT-B5 without aggregation, the baseline of AggPose Table 5, on COCO keypoints at 256×192.

python -m aggpose_jax.main --config configs/coco_mit_b5.py --config.data_dir=data/coco

The paper starts it from ImageNet-21K weights and trains it for 300 epochs. decay_epochs is copied from AggPose.
"""

from aggpose_jax.config import debug_variant, default_config, read_argument, use_coco


def get_config(arg: str = ""):
    """Returns the experiment. `:debug` selects the debug variant with a tiny network and 20 steps."""
    words = read_argument(arg, "debug")
    config = default_config()
    use_coco(config)
    config.model.name = "mit_pose_b5"
    config.epochs = 300.0
    config.decay_epochs = (170.0, 200.0, 240.0)
    return debug_variant(config) if "debug" in words else config
