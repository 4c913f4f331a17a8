"""Saving, resuming, loading and publishing models. The only package that imports Orbax.

`save` is for runs, `load` for sampling and evaluation, `publish` makes the folder that is shared. `fingerprints` tell
models apart, `checksums` find damage.
"""
