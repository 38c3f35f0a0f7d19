"""AggPose in JAX: infant pose estimation with deep multi-resolution aggregation of Mix Transformers."""

import importlib

__version__ = "0.2.0"


def load(run="pretrained", config=None, overrides=()):
    """Loads a trained network for prediction: load().predict("image.jpg") returns keypoints [P, K, 3].

    See `aggpose_jax.inference.predictor.load` for the arguments. That module is imported at the first call, so that
    `import aggpose_jax` does not start JAX.
    """
    return importlib.import_module("aggpose_jax.inference.predictor").load(run, config, overrides)
