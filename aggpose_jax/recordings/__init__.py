"""Keypoints of a recording over time, and the file formats that store them."""
