"""HRFormer-B on COCO keypoints at 256×192 by the recipe of its authors: 75.6 AP, 80.8 AR on val2017.

python -m aggpose_jax.main --config configs/hrformer.py --config.data_dir=data/coco --config.init_from=hrt_base.pth

The run starts from the authors' ImageNet weights. configs/hrformer.py:mmpose has the network and the protocol of
MMPose's weights (75.4 AP, 80.7 AR), whose attention has relative position biases. configs/hrformer.py:infant fine-tunes
a COCO run on infants (published: 93.8 AP, 95.0 AR, AggPose Table 4). The authors move the centre of a box once for each
person, by the box before it grows to the aspect ratio; this code moves it each time, by the box after that.
"""

from aggpose_jax.config import debug_variant, default_config, fine_tune_on_infants, read_argument, use_coco

COCO_STEPS = 149_813 / 256  # steps in an epoch: labelled persons in train2017 / batch size


def get_config(arg: str = ""):
    """Returns the experiment.

    `:mmpose` selects the network and protocol of MMPose, `:infant` the infant data set, `:debug` the debug variant.
    """
    words = read_argument(arg, "mmpose", "infant", "debug")
    config = default_config()
    config.model.name = "hrformer_b_mmpose" if "mmpose" in words else "hrformer_b"
    config.model.drop_path = 0.2
    config.protocol = "mmpose" if "mmpose" in words else "hrformer"
    config.rounded_targets = True
    config.color_jitter = 0.0
    config.augmentation.scale = 0.5
    config.augmentation.rotation = 40.0
    config.augmentation.shift = 0.2 / 1.25  # a fifth of the box, which is padded by 1.25
    config.augmentation.shift_probability = 0.3
    config.decay = (r"(?!.*/relative_position_bias_table).*",)
    if "infant" in words:
        fine_tune_on_infants(config)
    else:
        use_coco(config)
        config.batch_size = 256
        config.epochs = 210.0
        config.learning_rate = 5e-4
        config.decay_epochs = (170.0, 200.0)
        config.warmup_epochs = 500 / COCO_STEPS
    return debug_variant(config, "hrformer_tiny") if "debug" in words else config
