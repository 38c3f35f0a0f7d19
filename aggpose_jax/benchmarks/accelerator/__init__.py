"""Measures what this package does on a GPU or TPU, part by part, into one report; see launch/README.md."""
