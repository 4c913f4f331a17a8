"""Everything that makes data for training, and everything that reads it: from recordings, or from a seed alone, to
clip records, motion codes, shards and batches.

What belongs here: at the top only commands (`prepare`, `encode`, `add_features`, `excerpt`, `talking_portrait`,
`train_phonetic`); in `records` the contract between producers and consumers, in `extraction` and `puppet` the two
producers, in `loading` the batches. What does not: whatever sampling needs at run time (reading media, audio features,
faces: `demo_jax`), and training itself (`demo_jax.training`, `demo_jax.jobs`). Nothing here knows what a batch is for.
"""
