"""demo_jax: disentangled motion-latent flow matching for talking portraits."""

__version__ = "0.1.0"
