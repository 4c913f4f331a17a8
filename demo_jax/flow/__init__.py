"""Flow matching on whitened motion codes: pure functions of arrays and a velocity function. No Flax, no I/O."""
