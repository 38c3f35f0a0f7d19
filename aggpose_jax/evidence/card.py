"""The card of an evaluation: what was evaluated on which data, with which metrics, in Markdown.

It has the items of TRIPOD+AI (Collins et al. 2024, BMJ 385:e078378) and CLAIM (Tejani et al. 2024, Radiology:
Artificial Intelligence 6(4):e240300) that an evaluation knows: data and numbers, measures, performance with intervals,
also in subgroups, limits and software. All others are left to the authors.
"""

import platform
from collections.abc import Mapping
from importlib import metadata

import numpy as np

import aggpose_jax
from aggpose_jax.evidence import report
from aggpose_jax.evidence.examination import Examination

LIBRARIES = ("jax", "numpy", "scipy", "pycocotools")
TO_ADD = (
    "the purpose, the setting, and who may use the system",
    "how infants were recruited, their ages and diagnoses, consent and ethics approval",
    "who labelled the keypoints, and how well raters agree (`evaluate --raters`)",
    "why this number of infants suffices",
)


def card(examination: Examination, name: str, description: Mapping[str, str]) -> str:
    """Returns card.md.

    Args:
      examination: what is reported.
      name: name of the evaluated system.
      description: further items by their names: checkpoint, data, digests.
    """
    parts = [
        f"# Evaluation card: {name}",
        "**Research software. It is not a medical device and makes no diagnosis.**",
        "This card has the items of TRIPOD+AI (Collins et al. 2024) and CLAIM (Tejani et al. 2024) that an evaluation "
        "knows.",
        "## System and data",
        report.markdown_table(
            ["", ""], [[key, str(value)] for key, value in {**description, **_counts(examination)}.items()]
        ),
        "## Metrics",
        _metrics(examination),
        "## Keypoints",
        _keypoints(examination),
        *_subgroups(examination),
        "## Limits",
        _limits(examination),
        "## Software",
        report.markdown_table(["", "version"], _versions()),
    ]
    return "\n\n".join(parts) + "\n"


def _counts(examination: Examination) -> dict[str, str]:
    truth, persons, units = examination.evaluation.ground_truth, examination.persons, examination.units
    visibility = persons.visibility
    counts = {
        "images": str(len(truth["images"])),
        "labelled persons": str(len(persons)),
        "labelled keypoints": f"{np.count_nonzero(visibility)}, of which hidden {np.count_nonzero(visibility == 1)}",
        "persons without detection": str(int(np.isnan(persons.score).sum())),
    }
    return counts | ({units.kind: f"{len(units)} (field {units.field})"} if units else {})


def _metrics(examination: Examination) -> str:
    kind = examination.units.kind if examination.units else "infants"
    rows = report.metric_rows(examination.metrics, tuple(examination.metrics))
    if not examination.units:
        rows = [[*row[:4], report.NONE] for row in rows]
    note = ("AP, AR, OKS: COCO's metrics. PCK@t: fraction of keypoints within t torso lengths. error: geometric mean "
            f"over {kind} of the mean distance in torso lengths, of keypoints that were found; error_p50, error_p95: "
            "percentiles of all distances. Intervals: jackknife over infants or videos, "
            "never over frames. " + ". ".join(text for _, text in report.MARKS.values()) + ".")  # fmt: skip
    return report.markdown_table(["", "value", "95 % interval", "n", kind], rows) + "\n\n" + note


def _keypoints(examination: Examination) -> str:
    columns = ("PCK@0.05", "PCK@0.1", "PCK@0.2", "error_p50", "error_p95", "error_p50_visible", "error_p50_hidden",
               "bias_x", "bias_y", "scatter")  # fmt: skip
    rows = [
        [name, *(report.cell(row[c]) if c == "PCK@0.1" else report.number(row[c].value) for c in columns)]
        for name, row in examination.keypoints.items()
    ]
    return report.markdown_table(["", *columns], rows)


def _subgroups(examination: Examination) -> list[str]:
    columns = ("OKS", "PCK@0.1", "PCK@0.2", "error", "error_p50")
    rows = [
        [name, str(row["OKS"].frames), *(report.cell(row[c]) for c in columns)]
        for name, row in examination.subgroups.items()
    ]
    return ["## Subgroups", report.markdown_table(["", "n", *columns], rows)] if rows else []


def _limits(examination: Examination) -> str:
    units = examination.units
    lines = [f"not in this card, to be added by its authors: {item}" for item in TO_ADD]
    if not units:
        lines.insert(0, "no intervals: the infants were not named (`evaluate --by infant_id`)")
    elif len(units) < 10:
        lines.insert(
            0, f"only {len(units)} {units.kind}: the intervals are wide, and rare failures may not have occurred"
        )
    if not examination.subgroups:
        lines.append("no subgroups: the images have no labels such as skin, garment or age")
    lines.append("metrics hold for infants, cameras and surroundings like those of this data set only")
    return "\n".join(f"* {line}" for line in lines)


def _versions() -> list[list[str]]:
    rows = [["aggpose_jax", aggpose_jax.__version__], ["Python", platform.python_version()]]
    return rows + [[name, metadata.version(name)] for name in LIBRARIES]
