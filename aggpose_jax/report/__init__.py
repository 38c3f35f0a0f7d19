"""The report of a film: its verdict, and a page that a clinician can read; and an index over a folder of films."""
