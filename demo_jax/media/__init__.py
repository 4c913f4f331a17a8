"""Reading and writing video, audio and images, and files that appear whole or not at all.

What belongs here: everything that opens a file of a user's or runs ffmpeg. Only local files are read, and every failure
is an InputError in one sentence. What does not: features, faces, records.
"""
