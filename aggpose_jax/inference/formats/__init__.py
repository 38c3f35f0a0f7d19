"""Poses to and from the files that other software reads. Each module has write and read; units are pixels, seconds."""
