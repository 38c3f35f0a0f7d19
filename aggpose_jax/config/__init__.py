"""What an experiment can say: keys with their defaults, experiment files and the command line."""
