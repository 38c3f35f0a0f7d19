"""TransPose-H-A6 on COCO keypoints at 256×192 by the recipe of its authors: 75.8 AP, 80.8 AR on val2017.

python -m aggpose_jax.main --config configs/transpose.py --config.data_dir=data/coco \
    --config.init_from=hrnet_w48-8ef0771d.pth

The run starts from the ImageNet weights of HRNet-W48. configs/transpose.py:a4 trains TransPose-H-A4 (75.3 AP),
configs/transpose.py:s TransPose-H-S (74.2 AP, from hrnet_w32-36af842e.pth). configs/transpose.py:infant fine-tunes a
COCO run on infants. AdamW without weight decay equals the authors' Adam. The authors lower the learning rate once an
epoch, this code at each step.
"""

from aggpose_jax.config import debug_variant, default_config, fine_tune_on_infants, read_argument, use_coco


def get_config(arg: str = ""):
    """Returns the experiment.

    `:a4` and `:s` select TransPose-H-A4 and -H-S, `:infant` the infant data set, `:debug` the debug variant.
    """
    words = read_argument(arg, ("a4", "s"), "infant", "debug")
    config = default_config()
    config.model.name = f"transpose_h_{'a4' if 'a4' in words else 's' if 's' in words else 'a6'}"
    config.protocol = "transpose"
    config.color_jitter = 0.0
    if "infant" in words:
        fine_tune_on_infants(config)
    else:
        use_coco(config)
        config.weight_decay = 0.0
        config.batch_size = 56
        config.epochs = 240.0
        config.learning_rate, config.lowest_rate = 1e-4, 1e-5
        config.schedule = "cosine"
    return debug_variant(config, "transpose_tiny") if "debug" in words else config
