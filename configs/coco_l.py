"""AggPose-L on COCO keypoints at 256×192, the published recipe: 76.3 AP, 81.3 AR on val2017 (AggPose Table 3).

python -m aggpose_jax.main --config configs/coco_l.py --config.data_dir=data/coco

The data directory holds annotations/person_keypoints_{train2017,val2017}.json, train2017/, val2017/ and the
detected boxes. The rate falls for the last time at epoch 240; the best checkpoint on val2017 is kept.
"""

from aggpose_jax.config import default_config, sized


def get_config(arg: str = ""):
    """`:debug` shrinks the network and the run."""
    config = default_config()
    config.detections = "person_detection_results/COCO_val2017_detections_AP_H_56_person.json"
    config.epochs = 500.0
    config.decay_epochs = (170.0, 200.0, 240.0)
    return sized(config, arg)
