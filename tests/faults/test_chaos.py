"""Random operations, and the deaths of everything at any moment, leave what is wanted.

EMPEROR_TEST_CHAOS_SEED=7 in the environment does what that seed says, EMPEROR_TEST_CHAOS_STEPS=500
for longer.
"""

import os

import pytest

from tests.support import leftovers
from tests.support.chaos import Chaos
from tests.support.emperor import Emperor

SEEDS = [int(seed) for seed in os.environ.get("EMPEROR_TEST_CHAOS_SEED", "1 2").split()]
STEPS = int(os.environ.get("EMPEROR_TEST_CHAOS_STEPS", "16"))
STORM = 8
"""Steps between two times of calm."""


@pytest.mark.timeout(300 + 20 * STEPS)
@pytest.mark.parametrize("seed", SEEDS)
def test_all_is_as_wanted_when_it_is_calm_again(emperor: Emperor, seed: int) -> None:
    print(f"EMPEROR_TEST_CHAOS_SEED={seed} EMPEROR_TEST_CHAOS_STEPS={STEPS}")
    chaos = Chaos(emperor, seed)
    emperor.start()
    with chaos.asked():
        chaos.calm()
        for _ in range(0, STEPS, STORM):
            chaos.storm(STORM)
            chaos.calm()
    chaos.storm(2)
    assert emperor.stop(120) == 0
    assert leftovers.of(emperor) == []
