"""Saving, resuming, loading and publishing models. The only package that imports Orbax.

`save` is for runs, `load` for sampling and evaluation, `publish` writes a folder to share. `fingerprints` identify
models, `checksums` find damage.
"""
