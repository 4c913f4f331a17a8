"""The networks. This is the only folder, besides the bundled attribute regressor, that imports Flax."""
