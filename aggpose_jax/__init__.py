"""AggPose in JAX: infant pose estimation with deep multi-resolution aggregation of Mix Transformers."""

import importlib


def load(run, config=None, overrides=()):
    """The network of a run, ready to predict: load("runs/infant_l").predict("image.jpg") → keypoints [P, K, 3].

    See `aggpose_jax.inference.predictor.load`, which is imported at the first call: JAX starts only where it is used.
    """
    return importlib.import_module("aggpose_jax.inference.predictor").load(run, config, overrides)
