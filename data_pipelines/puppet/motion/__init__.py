"""Motion of the puppets: articulation, eyes, head, emotion, each person's motion style, and independent probes.

It produces tracks (pose, eyes, expression) from speech and random draws and knows no mesh; `person` applies the tracks.
"""
