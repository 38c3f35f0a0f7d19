"""AggPose-L on infants with 21 keypoints, fine-tuned from COCO (AggPose §4.1).

Published: 95.0 AP, 95.7 AR on the test set (Table 4).

python -m aggpose_jax.main --config configs/infant_l.py --config.init_from=runs/coco_l

configs/infant_l.py:s trains AggPose-S; start it from a run of configs/coco_l.py:s. `use_infant_pose` describes the data
directory. The head is initialised anew, since the keypoints differ; all other parameters start from the COCO run.
"""

from aggpose_jax.config import debug_variant, default_config, fine_tune_on_infants, read_argument


def get_config(arg: str = ""):
    """Returns the experiment. `:s` selects AggPose-S, `:debug` the debug variant with a tiny network and 20 steps."""
    words = read_argument(arg, "s", "debug")
    config = default_config()
    fine_tune_on_infants(config)
    config.model.name = "aggpose_s" if "s" in words else "aggpose_l"
    return debug_variant(config) if "debug" in words else config
