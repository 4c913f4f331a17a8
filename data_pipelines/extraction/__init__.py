"""From raw video and audio to clip records, and speech as rooms and telephones pass it on.

Importing this package loads nothing heavy.
"""
