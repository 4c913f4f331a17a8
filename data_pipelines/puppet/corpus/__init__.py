"""The corpus as a whole: plan, takes, builder with worker processes, statistics, datasheet, contact sheets, example.

It decides which person speaks what in which clip, and writes clip records; it defines no motion, shape or pixel.
"""
