"""Photographs: what is made once for a portrait, and the frames that its motion makes of it at its own resolution.

Geometry moves the photograph's own pixels (surface, expression, motion), a network separates the person from the
background (matte), the background behind the head is filled in (plate), and the decoder paints what the photograph does
not show. Networks are in `models`; code that knows of speech or windows is in `sampling`.
"""
