"""The judge: an independent attribute regressor for rendered puppets, bundled, and its training.

`python -m demo_jax.evaluation.judge.train` trains it. It never shares weights with a model that it measures.
"""
