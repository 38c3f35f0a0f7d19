"""SimpleBaseline-ResNet152 on COCO keypoints at 256×192 by the recipe of its authors: 72.0 AP, 77.8 AR on val2017.

python -m aggpose_jax.main --config configs/simple_baseline.py --config.data_dir=data/coco \
    --config.init_from=resnet152-b121ed2d.pth

The run starts from torchvision's ImageNet weights. configs/simple_baseline.py:50 trains ResNet-50. The protocol is that
of the authors, whose weights expect blue, green, red; configs/simple_baseline.py:mmpose has that of MMPose's weights
(73.6 AP, 79.1 AR). configs/simple_baseline.py:infant fine-tunes a COCO run on infants (published: 93.9 AP, 94.9 AR,
AggPose Table 4). AdamW without weight decay equals the authors' Adam.
"""

from aggpose_jax.config import debug_variant, default_config, fine_tune_on_infants, read_argument, use_coco


def get_config(arg: str = ""):
    """Returns the experiment.

    `:50` selects ResNet-50, `:mmpose` the protocol of MMPose, `:infant` the infant data set, `:debug` the debug
    variant.
    """
    words = read_argument(arg, "50", "mmpose", "infant", "debug")
    config = default_config()
    config.model.name = "simple_baseline_50" if "50" in words else "simple_baseline_152"
    config.protocol = "mmpose" if "mmpose" in words else "simple_baseline"
    config.rounded_targets = True
    config.color_jitter = 0.0
    config.augmentation.half_body = 0.0
    config.augmentation.scale = 0.3
    config.augmentation.rotation = 40.0
    if "infant" in words:
        fine_tune_on_infants(config)
    else:
        use_coco(config)
        config.weight_decay = 0.0
        config.epochs = 140.0
        config.decay_epochs = (90.0, 120.0)
    return debug_variant(config) if "debug" in words else config
