"""Reading and writing video, audio, images and text files, and atomic writes.

What belongs here: all code that opens a user's file or runs ffmpeg. Only local files are read, and every failure is an
InputError in one sentence. What does not: features, faces, records.
"""
