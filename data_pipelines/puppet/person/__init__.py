"""The head and the identities: the linear 3DMM, its expression and identity bases, sampling of identities, deformation.

Hair, clothes and accessories are in `dress`, light and pixels in `render`.
"""
