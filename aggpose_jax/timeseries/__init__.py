"""Keypoint time series: what of a recording can be trusted, cleaned, measured and described. Needs no network."""
