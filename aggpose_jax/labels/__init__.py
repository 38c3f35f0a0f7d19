"""Labels in and out of annotation tools: one file per format, and the choice of frames worth labelling."""
