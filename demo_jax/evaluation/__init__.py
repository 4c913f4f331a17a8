"""Measuring: metrics, what training shows of itself, and the report on a checkpoint."""
