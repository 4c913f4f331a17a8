"""`python -m demo_jax.evaluation.report`: a checkpoint's figures on held-out data, as JSON, CSV and one HTML page.

`build` measures and writes, `thresholds` holds the acceptance thresholds, `examples` renders what the page shows,
`page` and `svg` lay it out. New measurements belong in `demo_jax.evaluation`, not here.
"""
