"""The learning rate of each step and each group of parameters."""

from itertools import pairwise

import pytest

from segbench.training.schedule import learning_rate_factor


def test_the_learning_rate_warms_up_and_decays_to_zero() -> None:
    factors = [learning_rate_factor(step, num_steps=100, warmup_steps=10, power=0.9) for step in range(101)]
    assert factors[0] == pytest.approx(1 / 11)
    assert all(a < b for a, b in pairwise(factors[:11]))
    assert factors[10] == 1
    assert factors[55] == pytest.approx(0.5**0.9)
    assert factors[100] == 0
