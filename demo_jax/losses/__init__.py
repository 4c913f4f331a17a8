"""Losses of stage 1, as free functions on arrays."""
