"""The networks. This is the only folder, beside the judge, that imports Flax."""
