"""What a pose is: keypoint sets, crop geometry, the heatmap codec, scores and drawings."""
