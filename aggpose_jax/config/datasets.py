"""Settings that all experiments on the same data set share."""

from aggpose_jax.config.config import Config


def use_coco(config: Config) -> None:
    """Configures COCO keypoints, evaluated on the detected boxes (person AP 56.4) that published results use.

    The data directory must hold annotations/person_keypoints_{train2017,val2017}.json, train2017/, val2017/ and the
    detections file.
    """
    config.detections = "person_detection_results/COCO_val2017_detections_AP_H_56_person.json"


def use_infant_pose(config: Config) -> None:
    """Configures the infant data set with 21 keypoints, evaluated on annotated boxes (AggPose §4.1).

    The data directory must hold annotations/person_keypoints_{train,val}.json, train/ and val/.
    """
    config.keypoint_set = "infant_21"
    config.data_dir = "data/infant_pose"
    config.train_split, config.eval_split = "train", "val"
    config.nms_threshold = 0.0  # Each image shows one infant, so there are no duplicate poses to suppress.
    config.augmentation.half_body_min_labelled = 9


def fine_tune_on_infants(config: Config) -> None:
    """Configures fine-tuning on the infant data set by the published schedule: 100 epochs of AdamW (AggPose §4.1)."""
    use_infant_pose(config)
    config.epochs = 100.0
    config.learning_rate = 1e-4
    config.decay_epochs = (50.0, 80.0)
