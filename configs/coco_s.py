"""AggPose-S on COCO keypoints at 256×192, the published recipe: 75.2 AP, 80.3 AR on val2017 (AggPose Table 3).

python -m aggpose_jax.main --config configs/coco_s.py --config.data_dir=data/coco
"""

from aggpose_jax.config import default_config, sized


def get_config(arg: str = ""):
    """`:debug` shrinks the network and the run."""
    config = default_config()
    config.model.name = "aggpose_s"
    config.detections = "person_detection_results/COCO_val2017_detections_AP_H_56_person.json"
    config.epochs = 500.0
    config.decay_epochs = (170.0, 200.0, 240.0)
    return sized(config, arg)
