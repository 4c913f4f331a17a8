"""Drawing a puppet: rasterisation, light and shading, compiled by numba."""
