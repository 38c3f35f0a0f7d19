"""SimpleBaseline-ResNet152 on COCO keypoints at 256×192, the recipe of its authors: 72.0 AP, 77.8 AR on val2017.

python -m aggpose_jax.main --config configs/simple_baseline.py --config.data_dir=data/coco \
    --config.init_from=resnet152-b121ed2d.pth

It starts from ImageNet weights (torchvision's). configs/simple_baseline.py:50 is ResNet-50. The data directories are
described in `use_coco` and `use_infant_pose`. configs/simple_baseline.py:infant is fine-tuned from a run on COCO with
the optimizer of AggPose; published with the infants are 93.9 AP, 94.9 AR (AggPose Table 4). AdamW without weight decay
is the authors' Adam. Unlike theirs, the targets are not rounded to heatmap pixels.
"""

from aggpose_jax.config import debug_variant, default_config, read_argument, use_coco, use_infant_pose


def get_config(arg: str = ""):
    """`:50` is ResNet-50, `:infant` are infants with 21 keypoints, `:debug` is a tiny network and 20 steps."""
    words = read_argument(arg, "50", "infant", "debug")
    config = default_config()
    config.model.name = "simple_baseline_50" if "50" in words else "simple_baseline_152"
    config.crop_convention = "hrnet"
    config.decoder = "quarter"
    config.color_jitter = 0.0
    config.augmentation.half_body = 0.0
    config.augmentation.scale = 0.3
    config.augmentation.rotation = 40.0
    if "infant" in words:
        use_infant_pose(config)
        config.epochs = 100.0
        config.learning_rate = 1e-4
        config.decay_epochs = (50.0, 80.0)
    else:
        use_coco(config)
        config.weight_decay = 0.0
        config.epochs = 140.0
        config.decay_epochs = (90.0, 120.0)
    return debug_variant(config) if "debug" in words else config
