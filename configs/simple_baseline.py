"""SimpleBaseline-ResNet152 on COCO keypoints at 256×192 by the recipe of its authors: 72.0 AP, 77.8 AR on val2017.

python -m aggpose_jax.main --config configs/simple_baseline.py --config.data_dir=data/coco \
    --config.init_from=resnet152-b121ed2d.pth

The run starts from torchvision's ImageNet weights. configs/simple_baseline.py:50 trains ResNet-50. `use_coco` and
`use_infant_pose` describe the data directories. configs/simple_baseline.py:infant fine-tunes a COCO run on infants with
the optimizer of AggPose (published: 93.9 AP, 94.9 AR, AggPose Table 4). AdamW without weight decay equals the authors'
Adam. Unlike the authors' code, this one does not round the centres of the targets to heatmap pixels.
"""

from aggpose_jax.config import debug_variant, default_config, read_argument, use_coco, use_infant_pose


def get_config(arg: str = ""):
    """Returns the experiment. `:50` selects ResNet-50, `:infant` the infant data set, `:debug` the debug variant."""
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
