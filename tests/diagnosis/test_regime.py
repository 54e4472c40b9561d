import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscope.diagnosis.regime import accepted_regimes, sweep_excess, sweep_regimes
from lrscope.errors import InvalidInput

LR = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0]
LOSS = [2.2, 1.5, 0.36, 0.3, 0.5, 2.25, math.nan]


def test_the_rule_on_a_whole_sweep() -> None:
    assert sweep_regimes(LR, LOSS, 2.3) == ["low", "low", "good", "good", "high", "very_high", "very_high"]


def test_infinity_is_very_high_wherever_it_stands() -> None:
    assert sweep_regimes([0.1, 1.0], [math.inf, 0.2], 1.0) == ["very_high", "good"]


def test_a_low_rate_that_learned_nothing_is_low_not_very_high() -> None:
    assert sweep_regimes([1e-6, 0.1], [1.0, 0.2], 1.0) == ["low", "good"]


def test_all_diverged() -> None:
    assert sweep_regimes([1.0, 10.0], [math.nan, math.inf], 1.0) == ["very_high", "very_high"]
    assert np.all(np.isinf(sweep_excess([math.nan, math.inf], 1.0)))


def test_no_run_learned() -> None:
    assert sweep_regimes([1e-8, 1.0], [1.0, 5.0], 1.0) == ["low", "very_high"]


def test_runs_on_the_line_count_as_either() -> None:
    accepted = accepted_regimes(LR, LOSS, 2.3)
    assert accepted[2] == {"good", "low"}
    assert accepted[3] == {"good"}
    assert accepted[4] == {"high"}


@given(st.permutations(range(len(LR))))
def test_the_order_of_the_runs_does_not_matter(order: list[int]) -> None:
    shuffled = sweep_regimes([LR[i] for i in order], [LOSS[i] for i in order], 2.3)
    assert shuffled == [sweep_regimes(LR, LOSS, 2.3)[i] for i in order]


@pytest.mark.parametrize(
    ("lr", "loss", "initial", "names"),
    [
        ([0.1], [1.0, 2.0], 1.0, "alike in length"),
        ([], [], 1.0, "not empty"),
        ([0.0, 1.0], [1.0, 2.0], 1.0, "positive"),
        ([0.1, 1.0], [1.0, 2.0], math.nan, "initial_loss"),
    ],
)
def test_bad_input_is_named(lr: list[float], loss: list[float], initial: float, names: str) -> None:
    with pytest.raises(InvalidInput, match=names):
        sweep_regimes(lr, loss, initial)
