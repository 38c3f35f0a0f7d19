"""A network and crops become keypoints, and keypoints become a score."""
