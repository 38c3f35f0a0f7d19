"""Predicts the keypoints of images and videos with a trained network, one at a time or in batch jobs."""
