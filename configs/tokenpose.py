"""TokenPose-L/D24 on COCO keypoints at 256×192 by the recipe of its authors: 75.8 AP, 80.9 AR on val2017.

python -m aggpose_jax.main --config configs/tokenpose.py --config.data_dir=data/coco \
    --config.init_from=hrnet_w48-8ef0771d.pth

The run starts from the ImageNet weights of HRNet-W48; weights of TokenPose-L were never published.
configs/tokenpose.py:infant fine-tunes a COCO run on infants (published: 93.0 AP, 93.9 AR, AggPose Table 4). AdamW
without weight decay equals the authors' Adam.
"""

from aggpose_jax.config import debug_variant, default_config, fine_tune_on_infants, read_argument, use_coco


def get_config(arg: str = ""):
    """Returns the experiment. `:infant` selects the infant data set, `:debug` the debug variant."""
    words = read_argument(arg, "infant", "debug")
    config = default_config()
    config.model.name = "tokenpose_l_d24"
    config.protocol = "tokenpose"
    config.color_jitter = 0.0
    if "infant" in words:
        fine_tune_on_infants(config)
    else:
        use_coco(config)
        config.weight_decay = 0.0
        config.batch_size = 64
        config.epochs = 300.0
        config.decay_epochs = (200.0, 260.0)
    return debug_variant(config, "tokenpose_tiny") if "debug" in words else config
