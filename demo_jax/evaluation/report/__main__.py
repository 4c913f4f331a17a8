"""python -m demo_jax.evaluation.report"""

from demo_jax.evaluation.report.build import main

raise SystemExit(main())
