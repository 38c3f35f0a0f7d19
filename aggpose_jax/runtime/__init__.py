"""Devices and processes: sharding, distributed set-up, compiled programs, checksums of folders."""
