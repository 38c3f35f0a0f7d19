"""Tables of metrics with intervals, as aligned text for the terminal and in Markdown."""

import math
from collections.abc import Mapping, Sequence

from aggpose_jax.evidence.comparison import Difference, smallest_infants
from aggpose_jax.evidence.examination import Comparison, Examination
from aggpose_jax.evidence.intervals import MIN_INTERVAL, MIN_TEST, Estimate
from aggpose_jax.evidence.raters import RaterAgreement

PRINTED = ("AP", "AP50", "AP75", "AR", "OKS", "OKS_p50", "PCK@0.05", "PCK@0.1", "PCK@0.2", "error", "error_p50",
           "error_p95")  # fmt: skip
BY_KEYPOINT = ("PCK@0.1", "error_p50", "error_p95", "bias_x", "bias_y", "scatter")
NONE = "-"
MARKS = {  # method of an interval: its mark, and what the mark means
    "binomial": ("*", "* conservative: exact binomial interval with one trial per unit"),
    "widened": ("+", "+ widened to 8 trials per unit: the units of this sample are suspiciously alike"),
}
ERRORS = "errors, bias and scatter are in torso lengths"


def number(value: float, digits: int = 3) -> str:
    """Returns a number with a fixed number of digits; "-" for NaN, "∞" for infinity."""
    if math.isnan(value):
        return NONE
    return "∞" if math.isinf(value) else f"{value:.{digits}f}"


def interval(estimate: Estimate) -> str:
    """Returns "low to high", with the mark of its method; "-" if there is none."""
    if math.isnan(estimate.low):
        return NONE
    return f"{number(estimate.low)} to {number(estimate.high)}{MARKS.get(estimate.method, ('', ''))[0]}"


def cell(estimate: Estimate) -> str:
    """Returns "value (low to high)", or the value if there is no interval."""
    limits = interval(estimate)
    return number(estimate.value) + (f" ({limits})" if limits != NONE else "")


def p_text(p: float) -> str:
    """Returns a p-value with three digits; "-" if there is none."""
    return NONE if math.isnan(p) else ("<.001" if p < 0.001 else f"{p:.3f}")


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns an aligned table: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    return "\n".join(
        "  ".join(text.ljust(width) if i == 0 else text.rjust(width)
                  for i, (text, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in [header, *rows]
    )  # fmt: skip


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines)


def metric_rows(metrics: Mapping[str, Estimate], names: Sequence[str] = PRINTED) -> list[list[str]]:
    """Returns rows of name, value, interval, n and infants."""
    return [
        [
            name,
            number(metrics[name].value),
            interval(metrics[name]),
            str(metrics[name].frames),
            str(metrics[name].infants),
        ]
        for name in names
        if name in metrics
    ]


def examination_text(examination: Examination) -> str:
    """Returns the tables that `evaluate --by` prints: metrics with intervals, and the keypoints."""
    units = examination.units
    assert units is not None
    lines = [text_table(["", "value", "95 % interval", "n", units.kind], metric_rows(examination.metrics))]
    if len(units) < MIN_INTERVAL:
        lines.append(f"{len(units)} {units.kind}: intervals need {MIN_INTERVAL}")
    if examination.matches is None:
        lines.append(f"AP and AR have no interval, because an image shows persons with different {units.field}")
    header = ["", "PCK@0.1", "interval", *BY_KEYPOINT[1:], "visible", "hidden"]
    rows = []
    for name, row in examination.keypoints.items():
        values = [number(row[column].value) for column in BY_KEYPOINT[1:]]
        parts = [number(row[f"error_p50_{kind}"].value) for kind in ("visible", "hidden")]
        rows.append([name, number(row["PCK@0.1"].value), interval(row["PCK@0.1"]), *values, *parts])
    lines += ["", text_table(header, rows)]
    shown = [*examination.metrics.values(), *(row["PCK@0.1"] for row in examination.keypoints.values())]
    lines.append(f"{ERRORS}; visible, hidden: their median error")
    lines += [text for method, (_, text) in MARKS.items() if any(estimate.method == method for estimate in shown)]
    return "\n".join(lines)


def comparison_text(found: Comparison, examination: Examination, source: str) -> str:
    """Returns the tables that `evaluate --against` prints: differences with intervals and p-values."""

    def row(name: str, difference: Difference, p: Sequence[float]) -> list[str]:
        estimate = difference.estimate
        return [name, signed(estimate.value), interval(estimate), *map(p_text, p)]

    units, count = examination.units, len(found.keypoints)
    assert units is not None
    header = ["", "difference", "95 % interval", "p"]
    lines = [f"difference from {source}:"]
    lines += [text_table(header, [row(name, one, [one.p]) for name, one in found.metrics.items()]), ""]
    pairs = [(f"{name} {metric}", one) for name, both in found.keypoints.items() for metric, one in both.items()]
    lines.append(text_table(["", "difference", "95 % interval", "p", "p (Holm)"],
                            [row(name, one, [one.p, one.adjusted]) for name, one in pairs]))  # fmt: skip
    if "AP" not in found.metrics:
        lines.append("no difference of AP: it needs the results of both systems, and images that each show one infant")
    if len(units) < MIN_TEST:
        lines.append(f"{len(units)} {units.kind} can never reach p = .05; a test needs {MIN_TEST}")
    elif len(units) < (needed := smallest_infants(count)):
        lines.append(f"{len(units)} {units.kind} can never reach p = .05 with Holm's correction over {count} "
                     f"keypoints; that needs {needed}")  # fmt: skip
    return "\n".join(lines)


def signed(value: float) -> str:
    """Returns a difference with its sign and three digits."""
    return NONE if math.isnan(value) else f"{value:+.3f}"


def raters_text(agreement: Mapping[str, RaterAgreement], examination: Examination) -> str:
    """Returns the table that `evaluate --raters` prints, and the sigmas for the file of a keypoint set."""
    rows = [
        [name, cell(one.distance), cell(examination.keypoints[name]["error_p50"]), number(one.sigma, 4)]
        for name, one in agreement.items()
    ]
    sigmas = ", ".join("null" if math.isnan(one.sigma) else f"{one.sigma:.4f}" for one in agreement.values())
    table = text_table(["median, in torso lengths", "between raters", "of the system", "sigma"], rows)
    return f'{table}\nfor the file of the keypoint set: "sigmas": [{sigmas}]'


def systems_table(examinations: Mapping[str, Examination], comparisons: Mapping[str, Comparison]) -> str:
    """Returns the layout of Table 4 of AggPose in Markdown: a row per system, with AP and AR.

    Args:
      examinations: the systems by name.
      comparisons: differences of the systems, but the first, from the first; empty without units.
    """
    tested = bool(comparisons)
    first = next(iter(examinations))
    header = ["", "AP", *(["p"] if tested else []), "AR", *(["p"] if tested else [])]
    rows = []
    for name, examination in examinations.items():
        row = [name]
        for metric in ("AP", "AR"):
            row.append(cell(examination.metrics[metric]))
            if tested:
                found = comparisons[name].metrics.get(metric) if name in comparisons else None
                row.append(p_text(found.p) if found else ("" if name == first else NONE))
        rows.append(row)
    units = examinations[first].units
    notes = [markdown_table(header, rows)]
    if units:
        notes.append(f"95 % intervals over {len(units)} {units.kind}; p: sign-flip test against {first}, not corrected "
                     "for the number of rows")  # fmt: skip
    return "\n\n".join(notes)
