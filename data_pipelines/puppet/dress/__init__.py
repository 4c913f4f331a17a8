"""The outfit of an identity: hair, beard, clothes, accessories and skin marks as mesh parts, colours, background image.

The identity's fields choose among the styles here; they are sampled in `person.identity_sampling`.
"""
