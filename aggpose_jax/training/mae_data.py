"""The data of masked pretraining: frames of videos, all of them or those with a box and with a later frame."""

import functools
import pathlib
from collections.abc import Callable

import ml_collections

from aggpose_jax.data import frame_crops, frames, subject_boxes
from aggpose_jax.data.chosen_frames import ChosenFrames
from aggpose_jax.data.frames import Frames
from aggpose_jax.data.synthetic_frames import SyntheticFrames
from aggpose_jax.errors import UserError
from aggpose_jax.estimation import film_boxes
from aggpose_jax.training.task_parts import TaskData

TRUTH = "truth"  # value of the key boxes: the true boxes of synthetic infants


def make_data(config: ml_collections.ConfigDict) -> TaskData:
    """Returns the data that a configuration describes.

    Raises:
      UserError: keys of the configuration contradict each other.
    """
    if config.data not in ("frames", "synthetic"):
        raise UserError(f"data: {config.data} has no video frames; give frames or synthetic for the task mae")
    if config.data == "synthetic" and config.boxes not in ("", TRUTH):
        raise UserError(f"boxes: {config.boxes} cannot be of synthetic infants; give {TRUTH}, or data=frames")
    make_batch = functools.partial(
        frame_crops.make_batch,
        input_size=tuple(config.input_size),
        smallest=config.smallest_crop,
        flip=config.augmentation.flip,
        has_targets=config.target_offset > 0,
    )

    def batch_maker(source: Frames | ChosenFrames) -> Callable:
        return functools.partial(make_batch, source=source)

    return TaskData(config, functools.partial(open_source, config), batch_maker)


def open_source(config: ml_collections.ConfigDict, part: str) -> Frames | ChosenFrames:
    """Returns the source of the frames of the training videos (`part` "train") or of the held-out videos ("eval").

    Raises:
      UserError: there are no frames, or none that fits the keys boxes and target_offset.
    """
    source = _open_all(config, part)
    if not config.boxes and not config.target_offset:
        return source
    boxes = _boxes(config, source) if config.boxes else None
    # Synthetic infants move, and their frames would be rendered for the comparison.
    may_repeat = config.target_offset > 0 and config.data == "frames"
    return ChosenFrames(source, boxes, config.target_offset, leave_out_repeated=may_repeat)


def _open_all(config: ml_collections.ConfigDict, part: str) -> Frames:
    stride = config.frame_stride
    if config.data == "synthetic":
        split, count = {"train": ("train", config.synthetic_train), "eval": ("test", config.synthetic_eval)}[part]
        return SyntheticFrames(count, stride, split=split, stride=stride)
    return frames.open_source(
        config.data_dir, stride=stride, excluded=config.excluded_videos, held_out=config.held_out, part=part
    )


def _boxes(config: ml_collections.ConfigDict, source: Frames) -> dict:
    """Returns the boxes of the videos of a source by video_id, see `ChosenFrames`."""
    if isinstance(source, SyntheticFrames):
        return {video_id: source.boxes(video_id) for video_id in source.videos()}
    return subject_boxes.place(source, film_boxes.read(pathlib.Path(config.boxes)), config.boxes)
