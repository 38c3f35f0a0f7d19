"""A calibration: what the scores of a network say about its errors, measured on films whose truth is known."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from aggpose_jax import io
from aggpose_jax.errors import UserError
from aggpose_jax.timeseries.reliability import ENOUGH_FILMS, Reliability

SHIPPED = pathlib.Path(__file__).parents[1] / "pretrained" / "calibration.json"
CLOSE = 0.1  # torso lengths: the error below which a keypoint counts as right
COVERED = 0.9  # ratio of errors that the bound covers
ENOUGH_INFANTS = 200  # infants of a calibration without a warning
OWN_CURVE = 120  # infants from which on a keypoint has a curve of its own; with fewer, it has that of all keypoints


@dataclasses.dataclass(frozen=True)
class Curve:
    """The errors of one keypoint at B rising scores; in between they are interpolated, beyond they are constant.

    Attributes:
      confidence: [B] scores of the network, rising.
      expected_error: [B] mean error in torso lengths, falling.
      probability: [B] probability of an error below CLOSE, rising.
      bound_factor: the error is below this multiple of the expected error with a probability of COVERED.
      infants: number of infants in which the keypoint was found and its true position is known. With fewer than
        OWN_CURVE, the curve is that of all keypoints.
    """

    confidence: np.ndarray
    expected_error: np.ndarray
    probability: np.ndarray
    bound_factor: float
    infants: int


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What the scores of a network say about its errors, for K keypoints.

    Attributes:
      digest: of the network, see `Predictor.digest`; the calibration holds for no other.
      keypoints: names of the K keypoints.
      domain: what the films of the calibration show, such as "synthetic infants"; other films may have other errors.
      films, infants: numbers of films and of infants in them.
      curves: K curves.
      amplitude: amplitude of the error in torso lengths by keypoint and name of a band, see `bands`; NaN if unknown.
      reliability: reliability of each feature by its name.
    """

    digest: str
    keypoints: tuple[str, ...]
    domain: str
    films: int
    infants: int
    curves: tuple[Curve, ...]
    amplitude: dict[str, dict[str, float]]
    reliability: dict[str, Reliability]

    def expected_error(self, confidence: np.ndarray) -> np.ndarray:
        """Returns the expected errors [..., K] in torso lengths; NaN where the confidence [..., K] is NaN."""
        return self._read(confidence, lambda curve: curve.expected_error)

    def probability(self, confidence: np.ndarray) -> np.ndarray:
        """Returns the [..., K] probabilities of an error below CLOSE; NaN where the confidence is NaN."""
        return self._read(confidence, lambda curve: curve.probability)

    def bound(self, confidence: np.ndarray) -> np.ndarray:
        """Returns the [..., K] errors in torso lengths that are not exceeded with a probability of COVERED."""
        return self._read(confidence, lambda curve: curve.bound_factor * curve.expected_error)

    @property
    def warnings(self) -> list[str]:
        """Returns what limits the calibration, a sentence each; empty if nothing does."""
        found = []
        if self.infants < ENOUGH_INFANTS:
            found.append(f"{self.infants} infants are fewer than {ENOUGH_INFANTS}; the errors of others may differ")
        if self.films < ENOUGH_FILMS:
            found.append(f"{self.films} films are fewer than {ENOUGH_FILMS}; no feature has a reliability")
        pooled = [curve for curve in self.curves if curve.infants < OWN_CURVE]
        if pooled:
            found.append(f"{len(pooled)} of {len(self.curves)} keypoints share one curve, for lack of infants")
        return found

    def _read(self, confidence: np.ndarray, values: Callable[[Curve], np.ndarray]) -> np.ndarray:
        columns = [
            np.interp(confidence[..., k], curve.confidence, values(curve)) for k, curve in enumerate(self.curves)
        ]
        return np.where(np.isnan(confidence), np.nan, np.stack(columns, axis=-1))


def write(calibration: Calibration, path: pathlib.Path) -> None:
    """Writes a calibration as JSON, atomically."""
    curves = [
        {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in vars(curve).items()}
        for curve in calibration.curves
    ]
    content = {
        "network": calibration.digest,
        "domain": calibration.domain,
        "films": calibration.films,
        "infants": calibration.infants,
        "warnings": calibration.warnings,
        "curves": dict(zip(calibration.keypoints, curves, strict=True)),
        "error_amplitude": calibration.amplitude,
        "reliability": {name: vars(value) for name, value in calibration.reliability.items()},
    }
    io.write_json(path, content, indent=1)


def read(path: pathlib.Path) -> Calibration:
    """Reads a calibration.

    Raises:
      UserError: the file cannot be read or is damaged.
    """
    content: Any = io.read_json(path)
    try:
        return Calibration(
            digest=str(content["network"]),
            keypoints=tuple(content["curves"]),
            domain=str(content["domain"]),
            films=int(content["films"]),
            infants=int(content["infants"]),
            curves=tuple(_curve(fields) for fields in content["curves"].values()),
            amplitude={
                keypoint: {band: _number(value) for band, value in by_band.items()}
                for keypoint, by_band in content["error_amplitude"].items()
            },
            reliability={name: _reliability(fields) for name, fields in content["reliability"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"{path} is not a calibration ({error!r}); give a file that aggpose calibrate wrote") from error


@functools.cache
def of_package() -> Calibration:
    """Returns the calibration of the network that comes with the package."""
    return read(SHIPPED)


def _curve(fields: dict[str, Any]) -> Curve:
    confidence, expected, probability = (
        np.array(fields[key], np.float64) for key in ("confidence", "expected_error", "probability")
    )
    rising = confidence.ndim == 1 and len(confidence) and (np.diff(confidence) > 0).all()
    if not rising or not confidence.shape == expected.shape == probability.shape:
        raise ValueError("a curve is not one of rising scores")
    values = np.concatenate([confidence, expected, probability, [float(fields["bound_factor"])]])
    if not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError("a curve has a value that is negative or missing")
    return Curve(confidence, expected, probability, float(fields["bound_factor"]), int(fields["infants"]))


def _reliability(fields: dict[str, Any]) -> Reliability:
    return Reliability(
        _number(fields["rho"]), _number(fields["low"]), _number(fields["high"]), films=int(fields["films"])
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
