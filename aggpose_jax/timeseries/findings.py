"""What a check of a film has found, and how far it limits the use of the film."""

import dataclasses
import enum
import math

POSITION, SPEED, FIDGETY = "position", "speed", "fidgety"
SUBJECTS = {  # what a film can be used for: its title
    POSITION: "Position",
    SPEED: "Speed",
    FIDGETY: "Fidgety band (0.9–1.8 Hz)",
}
ALL, MOVEMENT = tuple(SUBJECTS), (SPEED, FIDGETY)


class Level(enum.IntEnum):
    """How far a film can be used."""

    USABLE = 0
    LIMITED = 1
    UNUSABLE = 2

    @property
    def words(self) -> str:
        """Returns the level as reports write it."""
        return ("usable", "with limits", "unusable")[self]


@dataclasses.dataclass(frozen=True)
class Finding:
    """A reason for which a film is limited or unusable.

    Attributes:
      level: how far the film can still be used.
      subjects: what it concerns, of SUBJECTS.
      sentence: what was found, with the number and its limit.
    """

    level: Level
    subjects: tuple[str, ...]
    sentence: str


def percent(ratio: float) -> str:
    """Returns a ratio as percents, with one decimal below 10, such as 0.4 %, 7.1 % or 98 %; a dash if it is NaN."""
    if math.isnan(ratio):
        return "–"
    return f"{100 * ratio:.1f} %" if ratio < 0.0995 else f"{100 * ratio:.0f} %"
