"""AggPose in JAX: infant pose estimation with deep multi-resolution aggregation of Mix Transformers."""
