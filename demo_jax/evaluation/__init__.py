"""Measuring: metrics, experiments on checkpoints and the report on one.

What belongs here: metrics as pure functions (`metrics`), the attribute regressor for puppets (`judge`), experiments
that run a checkpoint on held-out records and return numbers by name (`experiments` on puppets, `real` on real video,
`reconstruction`, `generation` on what stage 2 generates), and the page that shows them (`report`). What does not:
losses and the validation of a training run (`demo_jax.losses`, `demo_jax.jobs`), sampling itself
(`demo_jax.sampling`), and measurements of speed, scale or robustness (`benchmarks`). Only `benchmarks` and tests import
this package.
"""
