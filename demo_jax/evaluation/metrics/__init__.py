"""Metrics as pure functions of arrays: images, motion, controls, couplings, disentanglement. No weights and no I/O."""
