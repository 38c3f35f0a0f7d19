"""The plain pose model on MiT-B5, the baseline of AggPose Table 5, on COCO keypoints at 256×192.

python -m aggpose_jax.main --config configs/coco_mit_b5.py --config.data_dir=data/coco

The paper starts it from ImageNet-21K weights and trains 300 epochs; the epochs of decay are those of AggPose.
"""

from aggpose_jax.config import default_config, sized


def get_config(arg: str = ""):
    """`:debug` shrinks the network and the run."""
    config = default_config()
    config.model.name = "mit_pose_b5"
    config.detections = "person_detection_results/COCO_val2017_detections_AP_H_56_person.json"
    config.epochs = 300.0
    config.decay_epochs = (170.0, 200.0, 240.0)
    return sized(config, arg)
