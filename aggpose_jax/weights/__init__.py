"""Weights of networks in and out: state dicts, weight files, transfer between networks, export."""
