"""HRNet-W32 on COCO keypoints at 256×192 by the recipe of its authors: 74.4 AP, 79.8 AR on val2017.

python -m aggpose_jax.main --config configs/hrnet.py --config.data_dir=data/coco \
    --config.init_from=hrnet_w32-36af842e.pth

The run starts from the authors' ImageNet weights. configs/hrnet.py:w48 trains HRNet-W48 (75.1 AP, 80.4 AR).
configs/hrnet.py:mmpose has the protocol of MMPose's weights (74.9 AP, 80.4 AR; W48: 75.6 AP, 80.9 AR).
configs/hrnet.py:infant fine-tunes a COCO run on infants (published for W48: 94.5 AP, 95.6 AR, AggPose Table 4). AdamW
without weight decay equals the authors' Adam.
"""

from aggpose_jax.config import debug_variant, default_config, fine_tune_on_infants, read_argument, use_coco


def get_config(arg: str = ""):
    """Returns the experiment.

    `:w48` selects HRNet-W48, `:mmpose` the protocol of MMPose, `:infant` the infant data set, `:debug` the debug
    variant.
    """
    words = read_argument(arg, "w48", "mmpose", "infant", "debug")
    config = default_config()
    config.model.name = "hrnet_w48" if "w48" in words else "hrnet_w32"
    config.protocol = "mmpose" if "mmpose" in words else "hrnet"
    config.rounded_targets = True
    config.color_jitter = 0.0
    if "infant" in words:
        fine_tune_on_infants(config)
    else:
        use_coco(config)
        config.weight_decay = 0.0
        config.epochs = 210.0
        config.decay_epochs = (170.0, 200.0)
    return debug_variant(config) if "debug" in words else config
