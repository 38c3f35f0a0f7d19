"""Data loading: sources of records, transforms from records to crops, and the pipeline that batches them."""
