"""Measures as pure functions of arrays: pictures, motion, controls, how separate factors are. No weights, no I/O."""
