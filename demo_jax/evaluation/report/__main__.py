"""python -m demo_jax.evaluation.report"""

from demo_jax.evaluation.report.build import main

if __name__ == "__main__":
    raise SystemExit(main())
