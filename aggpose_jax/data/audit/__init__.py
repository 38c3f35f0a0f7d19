"""Audits a data set: finds leaks between splits, faulty files and labels that are probably wrong."""

import dataclasses
import pathlib
from collections import Counter
from collections.abc import Sequence

from aggpose_jax.data.audit import anatomy
from aggpose_jax.data.audit.annotation_checks import check_persons, check_unlabelled
from aggpose_jax.data.audit.dataset import Persons, Split, persons, read_split, split_names
from aggpose_jax.data.audit.duplicates import check_duplicates
from aggpose_jax.data.audit.findings import KINDS, Finding
from aggpose_jax.data.audit.image_files import check_files
from aggpose_jax.data.audit.leaks import check_files_listed_twice, check_groups
from aggpose_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Audit:
    """The result of an audit: the directory, the splits that could be read, and the findings in the order of KINDS."""

    directory: pathlib.Path
    splits: list[Split]
    findings: list[Finding]

    def counts(self) -> dict[str, int]:
        """Returns the number of findings of each kind that was found."""
        return dict(Counter(finding.kind for finding in self.findings))

    def sizes(self) -> dict[str, dict[str, int]]:
        """Returns the numbers of images, persons and unlabelled ones of each split; none of them is a finding."""
        return {split.name: _sizes(split) for split in self.splits}


def audit_directory(directory: pathlib.Path, names: Sequence[str] | None = None) -> Audit:
    """Looks for faults in a data set in the layout of COCO.

    Args:
      directory: the folder with annotations/person_keypoints_SPLIT.json and SPLIT/.
      names: names of the splits; None audits all.

    Raises:
      UserError: the folder has no split, or none of the splits can be read. A single one that cannot is a finding.
    """
    splits, findings = [], []
    for name in names or split_names(directory):
        try:
            split, found = read_split(directory, name)
        except UserError as error:
            findings.append(Finding("unreadable_split", name, f"{error}."))
        else:
            splits.append(split)
            findings += found
    if not splits:
        raise UserError(findings[0].text.rstrip("."))
    findings += _check_images(splits) + _check_persons(splits)
    order = list(KINDS)
    return Audit(directory, splits, sorted(findings, key=lambda finding: order.index(finding.kind)))


def _check_images(splits: Sequence[Split]) -> list[Finding]:
    """Returns the findings about images, their files and what two splits share."""
    checked = [check_files(split) for split in splits]
    files, found = [one for one, _ in checked], [finding for _, of_split in checked for finding in of_split]
    return [
        *found,
        *check_groups(splits),
        *check_files_listed_twice(splits, files),
        *check_duplicates(splits, files),
    ]


def _check_persons(splits: Sequence[Split]) -> list[Finding]:
    """Returns the findings about persons and their keypoints."""
    groups: list[Persons] = [group for split in splits for group in persons(split)]
    found = [finding for group in groups for finding in (*check_persons(group), *anatomy.check_sides(group))]
    return [*found, *check_unlabelled(groups), *anatomy.check_bones(groups)]


def _sizes(split: Split) -> dict[str, int]:
    annotated = {annotation["image_id"] for annotation in split.annotations}
    groups = persons(split)
    return {
        "images": len(split.images),
        "images_without_annotation": sum(image["id"] not in annotated for image in split.images),
        "persons": sum(len(group.annotation) for group in groups),
        "unlabelled_persons": sum(int((~group.is_labelled.any(axis=1)).sum()) for group in groups),
    }
