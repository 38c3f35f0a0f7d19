"""Devices and processes: sharding, distributed initialisation, the compilation cache, checksums of folders."""
