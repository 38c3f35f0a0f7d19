"""Finding, one fault of a data set, and the kinds of findings."""

import dataclasses

KINDS = {  # kind: heading in the summary and the report
    "unreadable_split": "splits that cannot be read completely",
    "same_file": "images listed twice that are one file",
    "video_in_two_splits": "videos in more than one split",
    "infant_in_two_splits": "infants in more than one split",
    "near_duplicate": "images that look like an image of another split",
    "exact_duplicate": "images that are twice in a split",
    "duplicate_id": "ids that occur twice",
    "invalid_entry": "entries that lack a field or have an invalid one",
    "not_finite": "entries with NaN or infinite numbers",
    "missing_image": "images that are listed but missing",
    "unreadable_image": "images that cannot be read",
    "wrong_size": "images of another size than listed",
    "unlisted_files": "folders with images that are not listed",
    "box_outside_image": "boxes outside of their image",
    "box_without_area": "boxes without area",
    "keypoint_outside_image": "persons with keypoints outside of the image",
    "keypoint_outside_box": "persons with keypoints far outside of their box",
    "unlabelled_person": "persons without a labelled keypoint",
    "keypoint_never_labelled": "keypoints that are labelled in no person of a split",
    "wrong_num_keypoints": "persons whose num_keypoints is wrong",
    "wrong_keypoint_count": "persons with too few or too many keypoints",
    "sides_swapped": "persons whose left and right look exchanged",
    "implausible_bone": "persons with a bone that is too long",
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One fault of a data set.

    Attributes:
      kind: a key of KINDS.
      split: name of the split.
      text: a sentence with what is wrong and what to do.
      file_name: the image's file name in the split; empty if the fault is not one of an image.
      image_id: the image's id; None if the fault is not one of an image or the id is invalid.
      annotation_id: the person's id; None if the fault is not one of a person or the id is invalid.
      other: SPLIT/FILE of the second image of a pair; empty for other faults.
    """

    kind: str
    split: str
    text: str
    file_name: str = ""
    image_id: int | None = None
    annotation_id: int | None = None
    other: str = ""


def of_image(kind: str, split: str, image: dict, text: str, other: str = "") -> Finding:
    """Returns a finding about an entry of the COCO list `images`."""
    return Finding(kind, split, text, image["file_name"], image["id"], other=other)


def of_person(kind: str, split: str, image: dict, annotation: dict, text: str) -> Finding:
    """Returns a finding about an entry of the COCO list `annotations` and the entry of its image."""
    return Finding(kind, split, text, image["file_name"], image["id"], annotation["id"])
