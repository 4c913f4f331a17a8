"""From portrait and speech to a video: controls, windows, the sampler, and the Python API in `pipeline`."""
