"""Cleaning: the steps from the keypoints of a network to a series, each of which can be left out."""

import dataclasses

import numpy as np

from aggpose_jax.recordings.recording import Recording
from aggpose_jax.timeseries import abstention, gaps, outliers, smoothing, swaps, torso
from aggpose_jax.timeseries.abstention import ErrorModel
from aggpose_jax.timeseries.series import Flag, Series
from aggpose_jax.timeseries.smoothing import Filter


@dataclasses.dataclass(frozen=True)
class Options:
    """Which steps are taken, in this order.

    Attributes:
      abstain: leave out keypoints that are probably wrong, if a calibration tells which.
      swaps: exchange left and right back where they are exchanged for a moment.
      outliers: leave out keypoints that are far from the frames around them.
      fill: interpolate across short gaps.
      smoothing: filter; None for none.
    """

    abstain: bool = True
    swaps: bool = True
    outliers: bool = True
    fill: bool = True
    smoothing: Filter | None = None


def clean(recording: Recording, options: Options, calibration: ErrorModel | None = None) -> Series:
    """Returns the series of a recording, which is not changed.

    Args:
      recording: without a torso, whose length is their unit, exchanges and outliers are not found.
      options: the steps.
      calibration: of the network of the recording; None abstains from nothing and expects no errors.

    Raises:
      UserError: the cutoff of the filter is too high for the frame rate.
    """
    keypoint_set, time = recording.keypoint_set, recording.time
    position = recording.position.copy()
    length = torso.of_film(position, keypoint_set).length
    flag = np.where(np.isnan(position).any(axis=-1), Flag.MISSING, Flag.OK).astype(np.uint8)
    error = np.full(flag.shape, np.nan) if calibration is None else calibration.expected_error(recording.confidence)
    if options.abstain and calibration is not None:
        flag[abstention.find(recording.confidence, calibration)] = Flag.MISSING
    position[flag == Flag.MISSING] = np.nan
    if options.swaps:
        swapped, unsure = swaps.find(position, time, keypoint_set.flip_pairs, length)
        position, error, flag = (
            swaps.exchange(values, swapped, keypoint_set.flip_permutation) for values in (position, error, flag)
        )
        flag[unsure] = Flag.UNSURE
        flag[swapped & (flag != Flag.MISSING)] = Flag.SWAPPED
    if options.outliers:
        found = outliers.find(position, time, length)
        position[found], flag[found] = np.nan, Flag.OUTLIER
    if options.fill:
        position, filled = gaps.fill(position, time)
        flag[filled] = Flag.FILLED
    if options.smoothing is not None:
        scale = np.where(np.isnan(length), 1, length)[:, None, None]
        position = smoothing.smooth(position / scale, time, options.smoothing) * scale
    return Series(recording, position, flag, error)
