"""Experiments: one readable file each, with get_config(argument). Installed as aggpose_jax.configs."""
