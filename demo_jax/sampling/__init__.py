"""From portrait and speech to a video: controls, windows, the sampler, and the Python API in `pipeline`.

What belongs here: all that happens between a loaded model and a written video. What does not: reading media
(`demo_jax.media`), networks (`demo_jax.models`), loading them (`demo_jax.checkpoint`), measuring results
(`demo_jax.evaluation`).
"""
