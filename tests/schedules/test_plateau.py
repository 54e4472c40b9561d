"""The plateau rule, replayed on recorded metrics."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscope.errors import InvalidInput
from lrscope.schedules import reduce_on_plateau


def test_a_metric_that_goes_on_improving_lowers_nothing() -> None:
    assert reduce_on_plateau([1 / (t + 1) for t in range(50)], patience=0).factors == (1.0,)


@given(patience=st.integers(0, 5), cooldown=st.integers(0, 5))
def test_a_flat_metric_lowers_the_rate_after_every_patience_and_rest(patience: int, cooldown: int) -> None:
    schedule = reduce_on_plateau([1.0] * 20, factor=0.5, patience=patience, cooldown=cooldown)
    first = patience + 2  # the first metric is the best so far
    between = patience + 1 + cooldown
    assert schedule.boundaries == tuple(range(first, 21, between))
    assert schedule(first - 1) == 1.0
    assert schedule(first) == 0.5


def test_rising_metrics_thresholds_and_the_floor() -> None:
    accuracy = [0.5, 0.51, 0.52, 0.53]
    assert reduce_on_plateau(accuracy, mode="max", patience=0).factors == (1.0,)
    strict = reduce_on_plateau(accuracy, mode="max", patience=0, threshold=0.1, threshold_mode="abs", min_factor=0.05)
    assert strict.factors == (1.0, 0.1, 0.05)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"The 'factor' of reduce_on_plateau must be >= 0 and < 1\. Got 1\."):
        reduce_on_plateau([1.0], factor=1)
    with pytest.raises(InvalidInput, match="must be 'min' or 'max'"):
        reduce_on_plateau([1.0], mode="lowest")
