"""The infant or video to which every image and person of a ground truth belongs."""

import dataclasses
from typing import Any

from aggpose_jax.errors import UserError

FIELDS = ("infant_id", "video_id")
NAMED = 3  # entries that a message names


@dataclasses.dataclass(frozen=True)
class Units:
    """The U infants or videos of a ground truth.

    Attributes:
      field: "infant_id" or "video_id", the field that names them.
      names: [U] their names, in the order of their first image.
      of_annotation: index of the unit by the id of a labelled person.
      of_image: index of the unit by image id; None if the persons of one image belong to different units, so that no
        metric of images, such as AP, can be computed without one of them.
    """

    field: str
    names: list[str]
    of_annotation: dict[int, int]
    of_image: dict[int, int] | None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def kind(self) -> str:
        """Returns what a unit is, in the plural."""
        return self.field.removesuffix("_id") + "s"


def read_units(ground_truth: dict[str, Any], field: str) -> Units:
    """Returns the units that a field of the images names, or of the annotations where an image lacks it.

    With video_id, a video that shows two infants is one unit. Videos of the same infant are not independent: if the
    ground truth has infant_id as well, and an infant is in two videos, infant_id is required.

    Raises:
      UserError: an image has neither the field nor annotations that all have it, or an infant is in two videos. The
        message names some of them.
    """
    of_annotation = _names_by_annotation(ground_truth, field)
    by_image: dict[int, set[str]] = {}
    for annotation in ground_truth["annotations"]:
        name = of_annotation[annotation["id"]]
        if name is not None:
            by_image.setdefault(annotation["image_id"], set()).add(name)
    for image in ground_truth["images"]:
        if image.get(field) is not None:
            by_image[image["id"]] = {str(image[field])} | by_image.get(image["id"], set())
    persons = [a for a in ground_truth["annotations"] if not a.get("iscrowd") and any(a["keypoints"][2::3])]
    missing = {a["image_id"] for a in persons if of_annotation[a["id"]] is None}
    missing |= {image["id"] for image in ground_truth["images"]} - by_image.keys()
    if missing:
        names = [image["file_name"] for image in ground_truth["images"] if image["id"] in missing]
        raise UserError(f"{field}: missing for {len(names)} of {len(ground_truth['images'])} images, such as "
                        f"{_listed(names)}; add it to these images or all of their annotations")  # fmt: skip
    names = list(dict.fromkeys(name for image in ground_truth["images"] for name in sorted(by_image[image["id"]])))
    index = {name: u for u, name in enumerate(names)}
    if field == "video_id":
        _check_infants(ground_truth)
    single = all(len(found) == 1 for found in by_image.values())
    return Units(
        field,
        names,
        {a["id"]: index[str(of_annotation[a["id"]])] for a in persons},
        {image: index[next(iter(found))] for image, found in by_image.items()} if single else None,
    )


def _names_by_annotation(ground_truth: dict[str, Any], field: str) -> dict[int, str | None]:
    of_image = {image["id"]: image.get(field) for image in ground_truth["images"]}
    named = {a["id"]: a.get(field, of_image[a["image_id"]]) for a in ground_truth["annotations"]}
    return {key: None if name is None else str(name) for key, name in named.items()}


def _check_infants(ground_truth: dict[str, Any]) -> None:
    """Raises a UserError if an infant is in two videos."""
    infants, videos = (_names_by_annotation(ground_truth, field) for field in FIELDS)
    seen: dict[str, set[str]] = {}
    for annotation, infant in infants.items():
        video = videos[annotation]
        if infant is not None and video is not None:
            seen.setdefault(infant, set()).add(video)
    several = {infant: sorted(found) for infant, found in seen.items() if len(found) > 1}
    repeated = [f"infant {infant} (videos {', '.join(found)})" for infant, found in several.items()]
    if repeated:
        raise UserError(f"video_id: {_listed(repeated)} in several videos, which are not independent; give "
                        "--by infant_id")  # fmt: skip


def _listed(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
