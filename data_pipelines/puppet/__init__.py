"""The embedded corpus: procedural talking heads, rendered on the CPU, with exact ground truth.

Each sub-package imports only those named in its line, all of them above it:

- `speech`: sentences, speech synthesis with phoneme times, prosody; imports none of the others.
- `motion`: lips, head, eyes and emotions that follow the speech; builds on `speech`.
- `person`: the head model and the identities; imports none of the others.
- `dress`: hair, clothes, accessories and backgrounds; builds on `person`.
- `render`: frames, and tracks measured on the same head; builds on `person` and `dress`.
- `corpus`: plan, takes, builder and datasheet; builds on all the others.

The command is `python -m data_pipelines.puppet`. Code outside imports the modules directly; nothing is re-exported.
"""
