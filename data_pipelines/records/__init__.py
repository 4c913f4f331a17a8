"""The clip record and the code record, and what lies in a folder of them.

What belongs here: the schema (the contract with every producer and consumer), reading records from folders and shards,
the catalog of a data folder, names from paths, splits by person. What does not: making records (`extraction`, `puppet`)
or batches (`loading`).
"""
