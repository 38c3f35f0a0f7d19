"""What experiments on the same data have in common."""

from aggpose_jax.config.config import Config


def use_coco(config: Config) -> None:
    """Sets COCO keypoints, evaluated on detected boxes (person AP 56.4), as published accuracies are.

    The data directory holds annotations/person_keypoints_{train2017,val2017}.json, train2017/, val2017/ and the
    detections.
    """
    config.detections = "person_detection_results/COCO_val2017_detections_AP_H_56_person.json"


def use_infant_pose(config: Config) -> None:
    """Sets infants with 21 keypoints, evaluated on annotated boxes (AggPose §4.1).

    The data directory holds annotations/person_keypoints_{train,val}.json, train/ and val/.
    """
    config.keypoint_set = "infant_21"
    config.data_dir = "data/infant_pose"
    config.train_split, config.eval_split = "train", "val"
    config.nms_threshold = 0.0  # one infant an image
    config.augmentation.half_body_min_labelled = 9
