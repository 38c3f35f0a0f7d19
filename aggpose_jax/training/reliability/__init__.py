"""What can go wrong in a run: preemption, hanging data, non-finite numbers, unreadable images, full disks."""
