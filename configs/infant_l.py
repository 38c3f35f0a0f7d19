"""AggPose-L on infants with 21 keypoints, fine-tuned from COCO (AggPose §4.1).

Published: 95.0 AP, 95.7 AR on the test set (Table 4).

python -m aggpose_jax.main --config configs/infant_l.py --config.init_from=runs/coco_l

The data directory holds annotations/person_keypoints_{train,val}.json, train/ and val/. The head is new, since the
keypoints are others; everything else starts from the COCO run.
"""

from aggpose_jax.config import default_config, sized


def get_config(arg: str = ""):
    """`:debug` shrinks the network and the run."""
    config = default_config()
    config.model.name = "aggpose_l"
    config.keypoint_set = "infant_21"
    config.data_dir = "data/infant_pose"
    config.train_split = "train"
    config.eval_split = "val"
    config.nms_threshold = 0.0  # one infant an image
    config.augmentation.half_body_min_labelled = 9
    config.epochs = 100.0
    config.learning_rate = 1e-4
    config.decay_epochs = (50.0, 80.0)
    return sized(config, arg)
