"""Poses: keypoint sets, crop geometry, the heatmap codec, metrics and drawing."""
