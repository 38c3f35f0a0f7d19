"""HRNet-W32 on COCO keypoints at 256×192 by the recipe of its authors: 74.4 AP, 79.8 AR on val2017.

python -m aggpose_jax.main --config configs/hrnet.py --config.data_dir=data/coco \
    --config.init_from=hrnet_w32-36af842e.pth

The run starts from the authors' ImageNet weights. configs/hrnet.py:w48 trains HRNet-W48 (75.1 AP, 80.4 AR).
configs/hrnet.py:infant fine-tunes a COCO run on infants with the optimizer of AggPose (published for W48: 94.5 AP,
95.6 AR, AggPose Table 4). `use_coco` and `use_infant_pose` describe the data directories. AdamW without weight decay
equals the authors' Adam. Unlike the authors' code, this one does not round the centres of the targets to heatmap
pixels.
"""

from aggpose_jax.config import debug_variant, default_config, read_argument, use_coco, use_infant_pose


def get_config(arg: str = ""):
    """Returns the experiment. `:w48` selects HRNet-W48, `:infant` the infant data set, `:debug` the debug variant."""
    words = read_argument(arg, "w48", "infant", "debug")
    config = default_config()
    config.model.name = "hrnet_w48" if "w48" in words else "hrnet_w32"
    config.crop_convention = "hrnet"
    config.decoder = "quarter"
    config.color_jitter = 0.0
    if "infant" in words:
        use_infant_pose(config)
        config.epochs = 100.0
        config.learning_rate = 1e-4
        config.decay_epochs = (50.0, 80.0)
    else:
        use_coco(config)
        config.weight_decay = 0.0
        config.epochs = 210.0
        config.decay_epochs = (170.0, 200.0)
    return debug_variant(config) if "debug" in words else config
