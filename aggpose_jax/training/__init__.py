"""Batches become a trained network."""
