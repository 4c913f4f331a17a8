"""The judge: an independent attribute regressor for puppet images, bundled with the package, and its training.

`python -m demo_jax.evaluation.judge.train` trains it. It shares no weights with the models that it measures.
"""
