"""What the puppets say and with which voices, each in one split only.

A sentence's place in its list decides its split, so lists may grow at their ends without moving any other sentence.
"""

from __future__ import annotations

from data_pipelines.puppet.sentences_english import ENGLISH
from data_pipelines.puppet.sentences_other import OTHERS

SENTENCES_VERSION = "1"
SPLITS = ("train", "val", "test")

# Language code of the record -> eSpeak NG voice.
VOICE_OF = {
    "en": "en-us", "en-gb": "en", "de": "de", "fr": "fr", "es": "es", "it": "it", "pt": "pt-br", "pl": "pl",
    "nl": "nl",
}  # fmt: skip

# eSpeak NG's voice variants: another vocal tract, breath and melody. Each belongs to one split.
VARIANTS = {
    "train": (
        "m1", "m2", "m3", "m5", "m6", "f1", "f2", "f4", "Andy", "Annie", "Mike", "Michael", "Alicia", "linda", "steph",
        "max", "ed", "travis", "Gene", "Jacky",
    ),
    "val": ("m4", "f3", "Lee", "steph2"),
    "test": ("m7", "f5", "Andrea", "Alex", "edward", "anika"),
}  # fmt: skip


def _split_of(place: int) -> str:
    """One sentence in ten is for validation and two are for the test."""
    return {4: "val", 2: "test", 8: "test"}.get(place % 10, "train")


def sentences(language: str, split: str) -> list[str]:
    """The sentences of a language (a key of VOICE_OF) in a split, in a fixed order. British English shares American
    English's."""
    lines = ENGLISH if language in ("en", "en-gb") else OTHERS[language]
    return [line for place, line in enumerate(lines) if _split_of(place) == split]


def languages() -> tuple[str, ...]:
    """Languages that have sentences, English (two accents) first."""
    return "en", "en-gb", *OTHERS
