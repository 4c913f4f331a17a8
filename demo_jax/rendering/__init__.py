"""Photographs in layers: what belongs to the person and the head, and the colours of each layer.

What belongs here: mattes, the colours behind and in front of their edges, compositing. What does not: networks
(`demo_jax.models`), finding faces (`demo_jax.faces`), the order of frames (`demo_jax.sampling`).
"""
