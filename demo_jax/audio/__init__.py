"""Audio features of a whole recording and of one that is still arriving. NumPy only.

What belongs here: the extractors that sampling needs at run time, their registry and the stream. What does not:
training them (`data_pipelines.train_phonetic`), reading files (`demo_jax.media`).
"""
