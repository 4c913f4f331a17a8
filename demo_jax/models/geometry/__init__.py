"""Geometry that the networks need not learn: rigid head motion, landmarks, backward warping."""
