"""Records become batches: sources, transforms of one record, and the pipeline that feeds a process."""
