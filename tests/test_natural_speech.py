"""The measure of closed lips, forced alignment, and features for encoded clips."""

import json
from pathlib import Path

import numpy as np
import pytest
import synthetic
import tiny_model

from benchmarks import natural_speech
from data_pipelines import add_features, train_phonetic
from data_pipelines.extraction import forced_alignment
from data_pipelines.puppet.speech import phonetic_corpus
from data_pipelines.records.catalog import code_paths
from data_pipelines.records.schema import pack, read_codes, write_clip
from demo_jax.audio.phonetic import KINDS
from demo_jax.audio.registry import extractor
from demo_jax.constants import FPS, SAMPLE_RATE
from demo_jax.errors import InputError
from demo_jax.media.files import write_atomically
from demo_jax.sampling.pipeline import Options, Pipeline


def test_closed_is_told_by_the_clips_own_measure_within_two_frames() -> None:
    aperture = np.ones(50)
    aperture[20] = 0.2
    instants = np.array([17.5, 18.5, 20.5, 22.5, 23.5]) / FPS
    for scale in (0.01, 1.0, 30.0):
        assert natural_speech.closed(scale * aperture, instants).tolist() == [False, True, True, True, False]
    assert not natural_speech.closed(np.maximum(aperture, 0.3), instants).any()


def test_lips_that_obey_close_and_lips_at_random_do_not() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(np.full(400, 0.08))[:, None] + np.array([0, 0.08])
    phones = np.where(rng.random(400) < 0.08, "B", "AH")
    when = natural_speech.instants(phones, times)
    frames = int(times[-1, 1] * FPS) + 1
    obedient = np.ones(frames)
    obedient[(when * FPS).astype(int)] = 0
    found = natural_speech.closure([(obedient, when, times)])
    # Chance is what five frames around each of some 32 closures cover of 800: at most a fifth.
    assert found["closed"] == 1 and 0.1 < found["random"] < 0.25 and found["count"] == len(when)
    moved = natural_speech.closure([(np.roll(obedient, 37), when, times)])
    assert moved["closed"] < 0.45


def test_sentences_of_grid_are_in_their_names() -> None:
    assert forced_alignment.grid_sentence("bbaf2n") == ["bin", "blue", "at", "f", "two", "now"]
    assert forced_alignment.grid_sentence("swwpzs") == ["set", "white", "with", "p", "zero", "soon"]
    for name in ("", "jfk", "LJ001", "xbaf2n", "bbaf2nn"):
        assert forced_alignment.grid_sentence(name) == []
    assert forced_alignment.spoken_words("Don’t move, it's 9!") == ["don't", "move", "it's", "9"]


def test_alignment_finds_the_sounds_of_synthetic_speech(tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx", reason="needs the bench extra")
    pytest.importorskip("espeakng_loader", reason="needs the puppet extra")
    from data_pipelines.puppet.speech.synthesis import synthesise
    from demo_jax.media.audio import write_wav

    text = "My baby put the paper boat in a pool."
    speech = synthesise(text, "en-us+m3", rate=140)
    silence = np.zeros(SAMPLE_RATE // 4, np.int16)
    write_wav(tmp_path / "a.wav", np.concatenate([silence, speech.waveform, silence]))
    (tmp_path / "transcripts.csv").write_text(f"file,text\na.wav,{text}\n")
    (clip,), left_out = forced_alignment.read_aligned(tmp_path, least_score=-60.0)
    found = natural_speech.instants(clip.phones, clip.times)
    true = 0.25 + natural_speech.instants([p[0].upper() for p in speech.phonemes], speech.times)
    assert not left_out and len(found) == len(true) == 8
    # Within a frame. Not every word: the aligner knows people, and loses its place in a formant synthesiser's stops.
    assert np.median(np.abs(found - true)) < 0.04
    (tmp_path / "transcripts.csv").write_text("file,text\na.wav,gloopy frumious words\n")
    assert "gloopy" in forced_alignment.read_aligned(tmp_path)[1]["a"]


def test_features_are_added_to_codes_without_touching_the_rest(tmp_path: Path) -> None:
    record = synthetic.codes("clip", 60)
    for split in ("train", "test"):
        write_atomically(tmp_path / "codes" / split / "codes" / "clip.npz", pack(record))
    (tmp_path / "codes" / "space.npz").write_bytes(b"space")
    (tmp_path / "codes" / "codes.json").write_text(json.dumps({"encoder_fingerprint": "f"}))
    phonetic = extractor("phonetic")
    assert add_features.add_features(str(tmp_path / "codes"), str(tmp_path / "new"), phonetic) == 2
    (path,) = code_paths(tmp_path / "new", "test")
    found = read_codes(path)
    np.testing.assert_array_equal(found.features["phonetic"], phonetic(record.waveform))
    np.testing.assert_array_equal(found.features["logmel"], record.features["logmel"])
    np.testing.assert_array_equal(found.codes, record.codes)
    info = json.loads((tmp_path / "new" / "codes.json").read_text())
    clips = {"train": ["clip"], "test": ["clip"]}
    assert info == {"encoder_fingerprint": "f", "features": {"phonetic": phonetic.version}, "clips": clips}
    with pytest.raises(InputError, match="give another folder"):
        add_features.add_features(str(tmp_path / "codes"), str(tmp_path / "codes"), phonetic)
    (tmp_path / "codes" / "codes.json").write_text(json.dumps({"encoder_fingerprint": "g"}))
    with pytest.raises(InputError, match="another auto-encoder"):
        add_features.add_features(str(tmp_path / "codes"), str(tmp_path / "new"), phonetic)


def test_disguises_keep_sounds_in_place() -> None:
    rng = np.random.default_rng(0)
    clicks = np.zeros(2 * SAMPLE_RATE)
    clicks[SAMPLE_RATE // 2] = 20_000
    for _ in range(20):
        said = phonetic_corpus.Said(waveform=clicks, phonemes=("p",), times=np.array([[0.4, 0.6]]))
        waveform, times = phonetic_corpus.disguised(rng, said)
        loudest = np.abs(waveform.astype(float)).argmax() / SAMPLE_RATE
        # A click stays in the middle of its sound: filters have no delay, and rooms let the direct sound come first.
        assert abs(loudest - times.mean()) < 0.012
        kinds = phonetic_corpus.kinds_of(said, times, int(len(waveform) / 320))
        assert KINDS[kinds[int(times.mean() * 50)]].startswith("p") and kinds[0] == 0
    with pytest.raises(InputError, match="no such speaker"):
        phonetic_corpus.speakers(["parrot"])


def test_the_network_learns_what_can_be_heard() -> None:
    """Two kinds of sound that differ in their bands: after a few steps they are told apart."""
    rng = np.random.default_rng(0)
    kinds = np.repeat(rng.integers(0, 2, 100), 8).astype(np.int32)
    bands = rng.normal(-0.5, 0.1, (1600, 40))
    bands[:, 10:20] += 0.8 * np.repeat(kinds, 2)[:, None]
    source = [(bands.astype(np.float16), kinds)]
    usual = train_phonetic.usual_colour([source])
    found = train_phonetic.train({"espeak": source}, usual, steps=100, width=16)
    from demo_jax.audio.phonetic import INPUTS, levelled, network

    guessed = network(np, found, levelled(bands, usual).reshape(-1, INPUTS)).argmax(-1)
    assert (guessed[100:] == kinds[100:]).mean() > 0.9


def test_sounds_cut_between_pieces_are_one(tmp_path: Path) -> None:
    spoken = (("a", "m"), ((1.0, 2.4), (2.4, 2.56))), (("m", "b"), ((0.0, 0.1), (0.5, 0.7)))
    for piece, (phonemes, times) in enumerate(spoken):
        record = synthetic.clip(
            "clip", piece, 64, phonemes=phonemes, phoneme_times=np.array(times, np.float32), speaker_id="speaker"
        )
        write_clip(tmp_path / "puppets" / "test", record)
    write_atomically(tmp_path / "codes" / "test" / "codes" / "clip.npz", pack(synthetic.codes("clip", 128)))
    ((truth, waveform, when, times),) = natural_speech.puppet_clips(
        str(tmp_path / "codes"), str(tmp_path / "puppets"), 5
    )
    assert len(truth) == 128 and len(waveform) == 128 * 640 and len(times) == 3
    # [m] from 2.4 to 2.56 + 0.1, [b] from 2.56 + 0.5 on.
    np.testing.assert_allclose(when, [2.53, 3.16], atol=1e-5)


def test_the_lips_of_a_model_are_those_of_its_motion() -> None:
    demo, speech = Pipeline(tiny_model.model()), tiny_model.speech(20)
    lips = natural_speech.generated(demo, Options(steps=1))(speech)
    code = np.asarray(demo.encode_source(demo.read_portrait(natural_speech.PORTRAIT))[1])
    motion = np.concatenate(list(demo.motion(code, speech, options=Options(steps=1))))
    np.testing.assert_array_equal(lips, motion[:, tiny_model.LAYOUT.calibrated[0]])
