"""Sentences and voices of the puppets; each belongs to one split only.

A sentence's place in its list decides its split, so lists may grow at their ends without moving any other sentence.
"""

from __future__ import annotations

from data_pipelines.puppet.speech.sentences_english import ENGLISH
from data_pipelines.puppet.speech.sentences_other import OTHERS

SENTENCES_VERSION = "2"
SPLITS = ("train", "val", "test")

# Language code of the record -> eSpeak NG voice.
VOICE_OF = {
    "en": "en-us", "en-gb": "en", "de": "de", "fr": "fr", "es": "es", "it": "it", "pt": "pt-br", "pl": "pl",
    "nl": "nl",
}  # fmt: skip

# eSpeak NG's voice variants: another vocal tract, breath and melody. Robots and voices that are hard to understand are
# left out, a whisper is in. Each belongs to one split, and so do those that sound nearly alike.
VARIANTS = {
    "train": (
        "m1", "m2", "m3", "m5", "m6", "m8", "f1", "f2", "f4", "Andy", "Annie", "Mike", "Michael", "Alicia", "linda",
        "steph", "max", "ed", "travis", "Gene", "Jacky", "Gene2", "Denis", "Diogo", "Henrique", "Mario", "Reed",
        "RicishayMax", "RicishayMax3", "adam", "antonio", "aunty", "boris", "grandma", "grandpa", "ian", "iven",
        "iven3", "john", "marcelo", "miguel", "mike2", "pedro", "quincy", "rob", "robert", "sandro", "zac", "david",
        "kaukovalta", "steph3", "whisper",
    ),
    "val": ("m4", "f3", "Lee", "shelby", "gustave", "norbert"),
    "test": ("m7", "f5", "Andrea", "Alex", "edward", "anika", "belinda", "victor", "pablo", "paul"),
}  # fmt: skip


def _split_of(place: int) -> str:
    """Returns the split of a sentence: of ten, one is in val and two are in test."""
    return {4: "val", 2: "test", 8: "test"}.get(place % 10, "train")


def sentences(language: str, split: str) -> list[str]:
    """Returns the sentences of a language (a key of VOICE_OF) in a split, in a fixed order.

    British and American English have the same sentences.
    """
    lines = ENGLISH if language in ("en", "en-gb") else OTHERS[language]
    return [line for place, line in enumerate(lines) if _split_of(place) == split]


def voice_variant(split: str, number: int) -> str:
    """Returns the voice variant of person `number`; the variants of a split take turns."""
    return VARIANTS[split][number % len(VARIANTS[split])]


def languages() -> tuple[str, ...]:
    """Returns the languages that have sentences, English (two accents) first."""
    return "en", "en-gb", *OTHERS
