"""What a run says: lines on standard output, and the same figures in WORKDIR/metrics.jsonl."""

import json
import pathlib
from collections.abc import Mapping, Sequence


class Reporter:
    """Writes figures by step."""

    def __init__(self, workdir: pathlib.Path):
        self._path = workdir / "metrics.jsonl"

    def say(self, text: str) -> None:
        """Prints at once, also into a pipe."""
        print(text, flush=True)

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Appends one line to metrics.jsonl."""
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, **{name: float(value) for name, value in figures.items()}}) + "\n")


def table(rows: Mapping[str, Mapping[str, float]], columns: Sequence[str]) -> str:
    """Figures as aligned text, one row for each name."""
    width = max(len(name) for name in rows)
    lines = [" " * width + "".join(f"{column:>9}" for column in columns)]
    for name, figures in rows.items():
        cells = (f"{figures[column]:9.3f}" if column in figures else " " * 9 for column in columns)
        lines.append(f"{name:<{width}}" + "".join(cells))
    return "\n".join(lines)
