"""Finding and measuring faces, the same for portraits, driving videos and corpora (the `prepare` extra).

What belongs here: the landmarker, measurements on its points, the square crop, scanning a video. What does not:
clip records (`data_pipelines.extraction`), networks (`demo_jax.models`).
"""
