"""AggPose-L on COCO keypoints at 384×288, the published recipe (AggPose §4.1).

python -m aggpose_jax.main --config configs/coco_l_384.py --config.data_dir=data/coco
"""

from aggpose_jax.config import default_config, sized


def get_config(arg: str = ""):
    """`:debug` shrinks the network and the run."""
    config = default_config()
    config.input_size = (384, 288)
    config.sigma = 3.0
    config.detections = "person_detection_results/COCO_val2017_detections_AP_H_56_person.json"
    config.batch_size = 64
    config.epochs = 400.0
    config.decay_epochs = (210.0, 280.0, 350.0)
    return sized(config, arg)
