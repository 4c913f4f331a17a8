"""Jobs of train.py: assembly of each stage from its config, data, networks and losses, and its validation.

This package and `demo_jax.evaluation` are the only ones of demo_jax that import `data_pipelines`.
"""
