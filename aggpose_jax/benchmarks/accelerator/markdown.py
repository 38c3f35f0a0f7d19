"""Tables of the report's page."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]], numbers: bool = True) -> list[str]:
    """Returns a Markdown table as lines; None is an empty cell.

    Args:
      head: titles of the columns.
      rows: cells.
      numbers: whether all columns but the first hold numbers, which are aligned to the right.
    """
    lines = ["| " + " | ".join(head) + " |", "|---|" + ("---:|" if numbers else "---|") * (len(head) - 1)]
    for row in rows:
        lines.append("| " + " | ".join("" if cell is None else str(cell).replace("|", "/") for cell in row) + " |")
    return lines


def share(value: float | None) -> str | None:
    """Returns a fraction in percent, for a cell of a table; None stays None."""
    return None if value is None else f"{100 * value:.0f} %"


def size(count: float | None) -> str | None:
    """Returns a number of bytes in MB or GB, for a cell of a table; None stays None."""
    if count is None:
        return None
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.2f} MB"
