"""Swin-B with a deconvolution head on COCO keypoints at 256×192 by the recipe of MMPose: 73.7 AP, 79.4 AR on val2017.

python -m aggpose_jax.main --config configs/swin_pose.py --config.data_dir=data/coco \
    --config.init_from=swin_base_patch4_window7_224_22k.pth

The run starts from the ImageNet-22K weights of its authors. configs/swin_pose.py:pyramid trains Swin-B with a feature
pyramid (74.1 AP, 79.8 AR). configs/swin_pose.py:infant fine-tunes a COCO run on infants. AdamW without weight decay
equals MMPose's Adam. AggPose Table 5 compares with a Swin-B that was trained by another recipe (74.3 AP), which is not
published.
"""

from aggpose_jax.config import debug_variant, default_config, fine_tune_on_infants, read_argument, use_coco

COCO_STEPS = 149_813 / 256  # steps in an epoch: labelled persons in train2017 / batch size


def get_config(arg: str = ""):
    """Returns the experiment.

    `:pyramid` selects the feature pyramid, `:infant` the infant data set, `:debug` the debug variant.
    """
    words = read_argument(arg, "pyramid", "infant", "debug")
    config = default_config()
    config.model.name = "swin_pose_b_pyramid" if "pyramid" in words else "swin_pose_b"
    config.model.drop_path = 0.3
    config.protocol = "mmpose"
    config.rounded_targets = True
    config.color_jitter = 0.0
    config.augmentation.scale = 0.5
    config.augmentation.rotation = 40.0
    config.augmentation.shift = 0.2 / 1.25  # a fifth of the box, which is padded by 1.25
    config.augmentation.shift_probability = 0.3
    if "infant" in words:
        fine_tune_on_infants(config)
    else:
        use_coco(config)
        config.weight_decay = 0.0
        config.batch_size = 256
        config.epochs = 210.0
        config.learning_rate = 5e-4
        config.decay_epochs = (170.0, 200.0)
        config.warmup_epochs = 500 / COCO_STEPS
    return debug_variant(config, "swin_pose_tiny") if "debug" in words else config
