"""The vocabulary every other file shares: axis letters, fixed rates, and the one error a user can cause.

Axis letters, used in every public docstring:

    B batch            T frames (25 a second)      L frames of one flow window
    H W C image        A audio feature             N vertices, or entries of an identity
    D motion latent    K motion code               P phonemes
    S samples of sound (16 kHz)                    M coefficients of a foreign 3DMM

Flow time runs from t = 0 (noise) to t = 1 (data); `demo_jax/flow/path.py` states it and a test pins it.
"""

from __future__ import annotations

FPS = 25  # frames a second, of every record, code and video
SAMPLE_RATE = 16_000  # samples a second of mono int16 speech
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
