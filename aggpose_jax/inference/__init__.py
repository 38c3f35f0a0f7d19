"""A trained network → keypoints of images, videos and archives."""
