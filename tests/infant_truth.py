"""A ground truth of several infants with several frames each, and results with errors of a given size."""

import numpy as np

from aggpose_jax.pose.keypoints import INFANT_21

TORSO = 100.0  # pixels


def pose() -> np.ndarray:
    """Returns keypoints [21, 3] of a standing figure with a torso of 100 pixels, all visible."""
    k = np.arange(len(INFANT_21))
    points = np.column_stack([400 + 30 * (k % 5), 300 + 20 * (k // 2), np.full(len(k), 2)]).astype(np.float64)
    corners = {
        "right_shoulder": (400, 300),
        "left_shoulder": (460, 300),
        "right_hip": (400, 400),
        "left_hip": (460, 400),
    }
    for name, (x, y) in corners.items():
        points[INFANT_21.names.index(name), :2] = x, y
    return points


def truth(frames: list[int], **fields) -> dict:
    """Returns a COCO dict with frames[i] images of infant i, each with one person.

    Args:
      frames: number of frames of each infant.
      fields: further fields of the images, each a list with a value per infant.
    """
    images, annotations = [], []
    for infant, count in enumerate(frames):
        for frame in range(count):
            number = len(images) + 1
            own = {name: values[infant] for name, values in fields.items()}
            images.append({"id": number, "file_name": f"{infant}_{frame}.jpg", "width": 1000, "height": 1000,
                           "infant_id": f"infant {infant}", "video_id": infant, **own})  # fmt: skip
            annotations.append({"id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "area": 40000.0,
                                "bbox": [400, 300, 150, 220], "num_keypoints": 21,
                                "keypoints": pose().ravel().tolist()})  # fmt: skip
    categories = [{"id": 1, "name": "infant", "keypoints": list(INFANT_21.names)}]
    return {"images": images, "annotations": annotations, "categories": categories}


def results(ground_truth: dict, errors: list[float], seed: int = 0) -> list[dict]:
    """Returns one result per person, whose keypoints have normal errors of errors[i] torso lengths for infant i."""
    rng = np.random.default_rng(seed)
    found = []
    for annotation, image in zip(ground_truth["annotations"], ground_truth["images"], strict=True):
        size = errors[int(image["infant_id"].split()[1])] * TORSO
        points = np.reshape(annotation["keypoints"], (-1, 3)).astype(np.float64)
        points[:, :2] += size * rng.standard_normal((len(points), 2))
        found.append({"image_id": annotation["image_id"], "category_id": 1, "score": float(rng.random()),
                      "keypoints": points.ravel().tolist()})  # fmt: skip
    return found
