"""The embedded corpus: a procedural head that speaks, generated on the spot with exact ground truth."""
