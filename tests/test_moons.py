"""The known result on the plane, small: with a condition, plain optimal transport harms and an aware one helps."""

import numpy as np

from benchmarks import moons


def test_an_aware_coupling_straightens_what_plain_transport_skews() -> None:
    """One seed and 300 steps: orders, with factors well below those of docs/coupling.md."""
    found = {
        name: {solver: float(np.mean(v)) for solver, v in moons.measure("continuous", couple, 1, 300).items()}
        for name, couple in moons.COUPLINGS.items()
        if name != "aware, share 0.1"  # as the fixed weight, here
    }
    independent, plain, aware = (found[name] for name in ("independent", "plain OT", "aware, weight 1000"))
    assert aware["euler"] < independent["euler"] / 1.5
    assert plain["adaptive"] > 2 * independent["adaptive"]
    assert aware["adaptive"] < plain["adaptive"] / 2
