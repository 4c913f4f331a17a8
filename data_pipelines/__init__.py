"""From recordings, or from nothing but a seed, to batches: clip records, shards, Grain pipelines."""
