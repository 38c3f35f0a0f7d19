"""Self-training on unlabelled films: a network labels them where it is sure, and is trained on its labels."""
