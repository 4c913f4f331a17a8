"""The constants and letters that all files share.

Letters of axes, in annotations and docstrings. Each has one meaning; an axis without a letter has a name, such as
"tokens" or "rows". A letter is never two sizes in one signature.

    B batch            T frames (25 a second)      L frames of one flow window
    H W C image        S S a square image          R resolution of a level
    D motion latent    K motion code               A audio feature
    N points           M coefficients of a 3DMM    P pixels of an image, flattened
    E embedding        F features of a condition   n rows of a coupling group

In the docstrings of `demo_jax.flow`, C also stands for the context frames before a window, as channels are not used
there. Samples of audio (16 kHz) are written out.

Flow time runs from t = 0 (noise) to t = 1 (data); `demo_jax/flow/path.py` defines it and a test pins it.
"""

from __future__ import annotations

FPS = 25  # frames a second, of every record, code and video
SAMPLE_RATE = 16_000  # samples a second of mono int16 speech
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
LUMA = (0.2126, 0.7152, 0.0722)  # shares of red, green and blue in brightness, BT.709
