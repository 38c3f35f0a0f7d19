"""Trains networks: the tasks, the training loop, the optimizer, checkpoints and the handling of faults."""
