"""Metrics as pure functions of arrays: images, motion, controls, couplings, disentanglement, photographs.

No weights and no I/O, but for `reader`, which runs the face landmarker on frames or a video.
"""
