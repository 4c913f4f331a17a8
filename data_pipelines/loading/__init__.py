"""From records to batches: examples, image augmentation, Grain's iterator and worker processes.

What belongs here: everything that training reads batches with; a batch is a pure function of (seed, step). `workers` is
also the pool that `prepare` and `puppet` make records with. What does not: records themselves (`records`), and what a
batch is used for (`demo_jax.training`).
"""
