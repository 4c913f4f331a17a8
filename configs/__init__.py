"""Runs of train.py: one file each, its docstring giving the command, the time it takes and the numbers to expect."""
