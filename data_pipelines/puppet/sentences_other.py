"""Sentences in other languages, written for this project. Append only: a sentence's place decides its split."""

OTHERS: dict[str, list[str]] = {}
