"""Rendering: rasterisation, occlusion, light and shading of head and outfit, compiled by numba, and measured tracks.

The same input gives the same bytes in any batch and with any number of threads.
"""
