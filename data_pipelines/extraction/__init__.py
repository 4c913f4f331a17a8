"""From video and audio files to clip records.

What belongs here: faults and scenes of a video, its records, forced alignment of recordings with their text, and speech
as rooms and telephones pass it on. What does not: finding and measuring faces (`demo_jax.faces`), which portraits need
too, and reading media files (`demo_jax.media`). Importing this package loads nothing heavy.
"""
