"""The critical batch size by branches: where the loss gives way, and how sure that is."""

import math

import numpy as np
import pytest

from lrscope.errors import InvalidInput
from lrscope.estimate import Estimate
from lrscope.noise.branched import branched_critical_batch


def test_branches_interpolate_the_batch_at_which_the_loss_gives_way():
    result = branched_critical_batch(16, [1, 2, 4, 8], [1.0, 1.0, 1.0, 1.02])
    assert result.critical_batch_size.value == pytest.approx(16 * 4 * math.sqrt(2))
    assert (result.critical_batch_size.low, result.critical_batch_size.high) == (64, 128)


def test_branches_that_never_give_way_leave_the_end_open_and_a_diverged_one_gives_way():
    assert branched_critical_batch(16, [1, 2, 4], [1.0, 1.0, 1.001]).critical_batch_size == Estimate(64, 64, None)
    gone = branched_critical_batch(16, [1, 2, 4], [1.0, 1.0, math.inf]).critical_batch_size
    assert (gone.value, gone.high) == (32, 32)


def test_branches_over_seeds_are_compared_seed_by_seed():
    orders = np.random.default_rng(0).normal(scale=0.5, size=5)  # what a data order adds to all of its branches
    losses = [orders, orders + 0.001, orders + 0.004, orders + 0.04]
    result = branched_critical_batch(16, [1, 2, 4, 8], losses)
    assert 64 < result.critical_batch_size.value < 128
    assert result.excess_loss[3].value == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: branched_critical_batch(8, [2, 4], [1, 1]), "increase from 1"),
        (lambda: branched_critical_batch(8, [1, 4], [1]), "one row"),
        (lambda: branched_critical_batch(8, [1, 4], [1, 1], tolerance=0), "tolerance"),
    ],
)
def test_bad_input_is_one_sentence(call, says):
    with pytest.raises(InvalidInput, match=says):
        call()
