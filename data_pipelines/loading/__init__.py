"""From records to batches: examples, augmentation, Grain's iterator and worker processes.

A batch is a pure function of (seed, step).
"""
