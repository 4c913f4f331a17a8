"""Runs of train.py, one a file. The docstring gives the command, the time it takes and the scores to expect."""
