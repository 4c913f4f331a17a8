"""Train state, optimiser, losses of stage 1, the two steps as pure functions, and the loop that calls them.

Networks are in `demo_jax.models`; what a stage assembles from them is in `demo_jax.jobs`.
"""
