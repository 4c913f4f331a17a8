"""The version of the audio features, and the guidance scale of the lips."""

import dataclasses

import numpy as np
import pytest
import tiny_model

from demo_jax.errors import InputError
from demo_jax.sampling.controls import FREE
from demo_jax.sampling.options import Options
from demo_jax.sampling.pipeline import Pipeline


@pytest.fixture(scope="module")
def demo():
    return Pipeline(tiny_model.model())


def motion(demo, options):
    code = np.asarray(demo.encode_source(tiny_model.portrait())[1])
    return np.concatenate(list(demo.motion(code, tiny_model.speech(12), FREE, options)))


def test_a_model_trained_on_other_features_is_refused(demo):
    now = demo.model.meta | {"feature_version": "1"}
    Pipeline(dataclasses.replace(demo.model, meta=now))
    with pytest.raises(InputError, match="was trained on version 0 of the audio features logmel; this is"):
        Pipeline(dataclasses.replace(demo.model, meta=now | {"feature_version": "0"}))


def test_audio_guidance_above_one_changes_the_lips_only(demo):
    """One step from the same noise: in later steps the lips influence the rest through the network."""
    lip = tiny_model.LAYOUT.slices["lip"]
    usual, louder, quieter = (motion(demo, Options(steps=1, audio_scale=s)) for s in (1.0, 4.0, 0.5))
    rest = np.r_[: lip.start, lip.stop : tiny_model.LAYOUT.size]
    np.testing.assert_allclose(louder[:, rest], usual[:, rest], atol=1e-6)  # XLA sums in another order
    assert (louder[:, lip] != usual[:, lip]).any() and (quieter[:, rest] != usual[:, rest]).any()
