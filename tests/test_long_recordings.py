"""Long recordings: what the model is given depends on the last moments alone, so nothing drifts; memory is constant.

A frame is decoded from the portrait and its own code (tests/test_sampling.py), and a window is sampled from its
condition and its noise: if the second minute gives the conditions of the first, nothing is left that could add up.
"""

import gc
import tracemalloc

import jax
import numpy as np
import tiny_model

from demo_jax.constants import FPS
from demo_jax.factors import CALIBRATED_NAMES
from demo_jax.sampling.controls import Controls
from demo_jax.sampling.options import Options
from demo_jax.sampling.pipeline import Pipeline
from demo_jax.sampling.session import STREAM_HOP

WINDOWS = 2 * 60 * FPS // STREAM_HOP


def test_the_second_minute_is_like_the_first():
    model = tiny_model.model()
    motion = Pipeline(model)._motion
    portrait = np.full(tiny_model.LAYOUT.size, 0.5, np.float32)
    again = tiny_model.speech(STREAM_HOP)  # the audio and the motion of one hop, repeated
    codes = np.random.default_rng(0).normal(size=(motion.streamed.length, tiny_model.LAYOUT.size)).astype(np.float32)
    controls = Controls.parse(hold="gaze", set="yaw=5", gain="lip=0.5")
    session = motion.start(portrait, (again for _ in range(WINDOWS)), controls, Options(), motion.streamed)
    first, noise, shown, memory = None, set(), [], []
    tracemalloc.start()
    try:
        for w in range(WINDOWS):
            key, condition = session.window()
            if w == 10:
                first = jax.device_get(condition)
            if w >= 10 and w % 10 == 0 and w < WINDOWS - 5:  # the last windows reach the end of the audio
                jax.tree.map(np.testing.assert_array_equal, first, jax.device_get(condition))
            noise.add(jax.random.key_data(key).tobytes())
            kept = session.push(codes)
            if w in (20, WINDOWS - 10):
                shown.append(kept)
                gc.collect()
                memory.append(tracemalloc.get_traced_memory()[0])
        assert session.window() is None
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(*shown)
    assert shown[0][0, tiny_model.LAYOUT.calibrated[CALIBRATED_NAMES.index("yaw")]] == np.float32(5 / 15)
    assert len(noise) == WINDOWS  # what does change
    assert memory[1] - memory[0] < 500_000, memory  # bytes; the audio in between alone is 3.4 million
