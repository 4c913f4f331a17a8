"""`python -m demo_jax.evaluation.report`: a checkpoint's figures on held-out data, as JSON, CSV and one HTML page."""
