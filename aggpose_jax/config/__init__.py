"""What an experiment can say: keys with their defaults, experiment files and the command line."""

from aggpose_jax.config.experiment import change, read_experiment
from aggpose_jax.config.schema import Config, debug_variant, default_config, describe, load_config, save_config, sized

__all__ = [
    "Config",
    "change",
    "debug_variant",
    "default_config",
    "describe",
    "load_config",
    "read_experiment",
    "save_config",
    "sized",
]
