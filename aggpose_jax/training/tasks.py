"""The registry of tasks by name."""

import ml_collections

from aggpose_jax.errors import UserError
from aggpose_jax.training.mae_task import MaeTask
from aggpose_jax.training.pose_task import PoseTask

TASKS: dict[str, type[PoseTask] | type[MaeTask]] = {"pose": PoseTask, "mae": MaeTask}


def task_class(config: ml_collections.ConfigDict) -> type[PoseTask] | type[MaeTask]:
    """Returns the class of the task that a configuration names.

    Raises:
      UserError: there is no task of that name.
    """
    if config.task not in TASKS:
        raise UserError(f"task: {config.task!r} is unknown; give one of {', '.join(TASKS)}")
    return TASKS[config.task]


def make_task(config: ml_collections.ConfigDict) -> PoseTask | MaeTask:
    """Returns the task that a configuration names; raises a UserError if the configuration does not fit it."""
    return task_class(config)(config)
