"""Measurements of speed on the machine at hand: its limits, networks, training, decoding, films and data pipelines."""
