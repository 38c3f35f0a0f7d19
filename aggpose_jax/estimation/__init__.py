"""Estimates keypoints in crops with a pose network and evaluates them."""
