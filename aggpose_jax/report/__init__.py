"""The report of a film: its verdict, and a page that a clinician can read; and an index over a folder of films."""

from aggpose_jax.report.writing import write, write_index

__all__ = ["write", "write_index"]
