"""Writes the tables of the protocol in PROTOCOL.md to WORKDIR/few_labels.md, as far as its runs are finished.

python tests/endurance/few_labels/report.py WORKDIR
"""

import json
import pathlib
import sys
from collections.abc import Sequence

import cells
import numpy as np
from cells import Cell
from scipy import stats

from aggpose_jax.evidence.comparison import holm, sign_flip

POWER = 0.8


def interval(values: np.ndarray) -> tuple[float, float]:
    """Returns the mean of values and half the length of its 95 % interval by Student's t."""
    return float(values.mean()), float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))


def detectable(differences: np.ndarray) -> float:
    """Returns the mean difference that a two-sided paired test of level .05 finds with a probability of POWER."""
    freedom = len(differences) - 1
    return float((stats.t.ppf(0.975, freedom) + stats.t.ppf(POWER, freedom)) * stats.sem(differences))


def closed_gap(random: np.ndarray, start: np.ndarray, supervised: np.ndarray) -> tuple[float, float]:
    """Returns the fraction of the gap between random and supervised that a start closes, and half its interval.

    The arguments are the errors of the replicates [N]; the interval is that of the jackknife over replicates.
    """

    def closed(kept: np.ndarray) -> float:
        return float((random - start)[kept].mean() / (random - supervised)[kept].mean())

    n = len(random)
    deleted = np.array([closed(np.arange(n) != left_out) for left_out in range(n)])
    error = np.sqrt((n - 1) / n * np.square(deleted - deleted.mean()).sum())
    return closed(np.arange(n) >= 0), float(stats.t.ppf(0.975, n - 1) * error)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


def results(folder: pathlib.Path, chosen: Sequence[Cell], metric: str = "log_error") -> np.ndarray:
    """Returns a metric of cells, in their order."""
    return np.array([cells.read(folder, cell)[metric] for cell in chosen])


def tuning_table(folder: pathlib.Path) -> str:
    """Returns the log errors and AP of the tuning: the mean over the seeds at each setting."""
    rows = []
    for start in (cells.RANDOM, *cells.MASKED, cells.PSEUDO, cells.SUPERVISED):
        for decay in cells.DECAYS:
            row = [start, f"{decay:g}"]
            for rate in (*cells.RATES, cells.HIGHEST):
                chosen = [c for c in cells.tuning(start) if (c.rate, c.layer_decay) == (rate, decay)]
                if chosen and cells.finished(folder, chosen):
                    error, ap = results(folder, chosen).mean(), results(folder, chosen, "AP").mean()
                    row.append(f"{error:.3f} ({ap:.3f})")
                else:
                    row.append("")
            rows.append(row)
    return table(["start", "layer decay", *(f"{rate:g}" for rate in (*cells.RATES, cells.HIGHEST))], rows)


def diagnosis_table(folder: pathlib.Path) -> str:
    """Returns the log errors of the diagnosis: mean and range over the seeds."""
    rows = []
    for start in (*cells.MASKED, cells.ENCODER):
        chosen = cells.diagnosis(start)
        if cells.finished(folder, chosen):
            groups: dict[tuple[str, float], list[Cell]] = {}
            for cell in chosen:
                groups.setdefault((cell.change, cell.rate), []).append(cell)
            for (change, rate), members in groups.items():
                errors, ap = results(folder, members), results(folder, members, "AP")
                each = ", ".join(f"{error:.3f}" for error in errors)
                rows.append([start, change, f"{rate:g}", f"{errors.mean():.3f} ({each})", f"{ap.mean():.3f}"])
    return table(["start", "kernels", "learning rate", "log error (each seed)", "AP"], rows)


def comparison_table(folder: pathlib.Path, masked: str) -> str:
    """Returns the comparison on the test infants, with the paired tests against random."""
    rows = []
    for labels in sorted(cells.LABELS):
        found = {
            start: cells.final(start, cells.chosen_setting(folder, cells.tuning(start)), (labels,))
            for start in (cells.RANDOM, masked, cells.PSEUDO, cells.SUPERVISED)
            if cells.finished(folder, cells.tuning(start))
        }
        found = {start: chosen for start, chosen in found.items() if cells.finished(folder, chosen)}
        errors = {start: results(folder, chosen) for start, chosen in found.items()}
        tested = [start for start in errors if start in (masked, cells.PSEUDO) and cells.RANDOM in errors]
        p = holm(sign_flip(np.array([errors[start] - errors[cells.RANDOM] for start in tested]))) if tested else []
        for start, error in errors.items():
            row = [str(labels), start, "{:.3f} ± {:.3f}".format(*interval(error))]
            row.append("{:.3f} ± {:.3f}".format(*interval(results(folder, found[start], "AP"))))
            if start in tested:
                difference = error - errors[cells.RANDOM]
                row.append("{:+.3f} ± {:.3f}".format(*interval(difference)))
                row += [f"{p[tested.index(start)]:.3f}", f"{detectable(difference):.3f}"]
                has_bound = cells.SUPERVISED in errors
                gap = closed_gap(errors[cells.RANDOM], error, errors[cells.SUPERVISED]) if has_bound else (np.nan,) * 2
                row.append("{:.2f} ± {:.2f}".format(*gap))
            rows.append(row + [""] * (8 - len(row)))
    header = ["labels", "start", "log error", "AP", "minus random", "p (Holm)", "detectable", "gap closed"]
    return table(header, rows)


def curve_table(folder: pathlib.Path, masked: str) -> str:
    """Returns the learning curves: mean log error and AP by number of steps."""
    rows = []
    for start in (cells.RANDOM, masked):
        setting = cells.chosen_setting(folder, cells.tuning(start))
        for steps in (250, 500, cells.STEPS, 2000, 3000, cells.LONG):
            chosen = cells.curves(start, setting, (steps,))
            if steps == cells.STEPS:
                chosen = [c for c in cells.final(start, setting, (cells.MIDDLE,)) if c.seed in cells.CURVE_SEEDS]
            if cells.finished(folder, chosen):
                error, ap, cost = (results(folder, chosen, name).mean() for name in ("log_error", "AP", "seconds"))
                rows.append([start, str(steps), f"{error:.3f}", f"{ap:.3f}", f"{cost / 60:.1f}"])
    return table(["start", "steps", "log error", "AP", "minutes on one core"], rows)


def pretraining_table(folder: pathlib.Path) -> str:
    """Returns the last held-out metrics of the pretrainings, and their cost."""
    rows = []
    for variant in cells.MASKED:
        run = folder / "pretraining" / variant
        if (run / "done.json").exists():
            lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
            last = [line for line in lines if "error" in line or "eval/error" in line]
            shown = {key: value for key, value in (last[-1] if last else lines[-1]).items() if isinstance(value, float)}
            minutes = json.loads((run / "done.json").read_text())["seconds"] / 60
            rows.append([variant, ", ".join(f"{key} {value:.4g}" for key, value in shown.items()), f"{minutes:.1f}"])
    return table(["pretraining", "held-out metrics", "minutes on one core"], rows)


def main(folder: pathlib.Path) -> None:
    """Writes all tables that can be made."""
    parts = ["## Tuning\n\nLog error (AP)\n\n" + tuning_table(folder), "## Diagnosis\n\n" + diagnosis_table(folder)]
    parts.append("## Pretrainings\n\n" + pretraining_table(folder))
    if all(cells.finished(folder, cells.short_tuning(v)) for v in cells.UNLABELLED):
        masked = cells.best_masked(folder)
        if cells.finished(folder, cells.tuning(masked)):
            parts += [f"## Comparison\n\nmasked is {masked}\n\n" + comparison_table(folder, masked)]
            parts += ["## Learning curves\n\n" + curve_table(folder, masked)]
    text = "\n\n".join(parts) + "\n"
    (folder / "few_labels.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
