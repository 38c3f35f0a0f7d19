"""The configuration: its keys with defaults and checks, experiment files, command-line overrides, config.json."""

from aggpose_jax.config.config import Config
from aggpose_jax.config.datasets import fine_tune_on_infants, use_coco, use_infant_pose
from aggpose_jax.config.experiment import change, debug_variant, read_argument, read_experiment
from aggpose_jax.config.schema import check, default_config, describe, flat_keys
from aggpose_jax.config.stored import load_config, save_config

__all__ = [
    "Config",
    "change",
    "check",
    "debug_variant",
    "default_config",
    "describe",
    "fine_tune_on_infants",
    "flat_keys",
    "load_config",
    "read_argument",
    "read_experiment",
    "save_config",
    "use_coco",
    "use_infant_pose",
]
