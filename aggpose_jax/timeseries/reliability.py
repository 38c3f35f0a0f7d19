"""How reliable a feature is: its rank correlation over films between a network and the truth, with an interval."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import special, stats

LEVEL = 0.95
MIN_FILMS = 4  # fewer have no interval
ENOUGH_FILMS = 100  # a feature that is known in fewer is not taken for measurable
LOWEST = 0.7  # a feature whose lower limit is below this cannot be measured with the network


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Spearman's rank correlation of a feature between a network and the truth.

    Attributes:
      rho: over all films in which both are known; NaN if it cannot be computed.
      low, high: its 95 % limits; NaN for fewer than MIN_FILMS.
      films: number of these films.
    """

    rho: float
    low: float
    high: float
    films: int

    @property
    def measurable(self) -> bool:
        """Returns whether the lower limit reaches LOWEST, and the films are enough to say so."""
        return self.low >= LOWEST and self.films >= ENOUGH_FILMS


def spearman(measured: np.ndarray, true: np.ndarray) -> Reliability:
    """Returns Spearman's ρ of values [F] of films, with its interval; films with a NaN are left out.

    The interval is symmetric in artanh ρ, with the standard error √((1 + ρ²/2) / (F − 3)) of Bonett and Wright (2000),
    which covers better than Fisher's √(1 / (F − 3)) at high correlations.
    """
    known = np.isfinite(measured) & np.isfinite(true)
    measured, true = measured[known], true[known]
    films = len(true)
    if films < 2 or np.ptp(measured) == 0 or np.ptp(true) == 0:
        return Reliability(float("nan"), float("nan"), float("nan"), films)
    rho = float(stats.spearmanr(measured, true).statistic)
    return Reliability(rho, *limits(rho, films), films)


def limits(rho: float, films: int) -> tuple[float, float]:
    """Returns the 95 % limits of Spearman's ρ, see `spearman`."""
    if films < MIN_FILMS:
        return float("nan"), float("nan")
    # At ±1 the transformation is infinite; no sample of this size can tell such a value from one so near.
    centre = np.arctanh(np.clip(rho, -0.9999, 0.9999))
    half = special.ndtri((1 + LEVEL) / 2) * np.sqrt((1 + rho**2 / 2) / (films - 3))
    return float(np.tanh(centre - half)), float(np.tanh(centre + half))


def of_films(measured: Sequence[Mapping[str, float]], true: Sequence[Mapping[str, float]]) -> dict[str, Reliability]:
    """Returns the reliability of each feature from the features of films by the network and by the truth."""
    return {
        feature: spearman(np.array([film[feature] for film in measured]), np.array([film[feature] for film in true]))
        for feature in (true[0] if true else {})
    }
