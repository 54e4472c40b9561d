"""How far the growth of the optimum goes on, from what larger batches do to the loss at the optimum."""

from __future__ import annotations

import numpy as np

from lrscope.estimate import Estimate
from lrscope.scaling.batch_law import fit_batch_law, predict_optimal_lr
from lrscope.scaling.trend import Bottoms, expect_ahead
from lrscope.scaling.u_curve import fit_u_curve

DOUBLINGS = np.arange(5.0)


def bottoms(loss, growth=0.8, octave=0.01):
    loss = np.asarray(loss, dtype=float)
    return Bottoms(
        batch=DOUBLINGS[: loss.size],
        optimum=-9.0 + growth * DOUBLINGS[: loss.size],
        optimum_sd=np.full(loss.size, 0.1),
        loss=loss,
        loss_sd=np.full(loss.size, 5e-4),
        octave=np.full(loss.size, octave),
    )


def curves(loss, growth):
    """Curves of one group at batch sizes 16, 32, …: parabolas with these bottoms."""
    rates = 2.0 ** np.arange(-13.0, -2.0)
    return [
        fit_u_curve(rates, bottom + 0.01 * (np.log2(rates) + 9.0 - growth * k) ** 2) for k, bottom in enumerate(loss)
    ]


def test_growth_goes_on_where_larger_batches_still_lower_the_loss():
    steep, gentle = expect_ahead(bottoms(2.5 - 0.04 * DOUBLINGS)), expect_ahead(bottoms(2.5 - 0.02 * DOUBLINGS))
    assert steep.optimum[-1] > gentle.optimum[-1] > -9.0 + 0.8 * 4
    assert steep.optimum[-1] < -9.0 + 0.8 * 7


def test_growth_ends_where_the_loss_has_stopped_falling():
    ended = expect_ahead(bottoms([2.60, 2.55, 2.52, 2.51, 2.51]))
    assert np.all(ended.optimum < -9.0 + 0.8 * 4 + 0.3)


def test_nothing_is_said_of_a_loss_that_batches_never_lowered():
    assert expect_ahead(bottoms(np.full(5, 2.5))) is None
    assert expect_ahead(bottoms(2.5 + 0.05 * DOUBLINGS)) is None
    assert expect_ahead(bottoms([2.5])) is None


def test_optima_that_did_not_keep_to_the_habit_so_far_outweigh_it():
    """The loss falls as little as where growth usually ends, yet the optimum has grown in proportion all along."""
    steady = 2.5 - 0.012 * DOUBLINGS
    usual, unusual = expect_ahead(bottoms(steady, growth=0.3)), expect_ahead(bottoms(steady, growth=1.0))
    assert np.all(unusual.deviation > 1.5 * usual.deviation)
    sizes, drawn = 16.0 * 2.0**DOUBLINGS, curves(steady, 1.0)
    laws = fit_batch_law(sizes, [curve.optimal_lr for curve in drawn], curves=drawn)
    assert 2.0**-3 in predict_optimal_lr(laws, 16 * 2.0**6)


def test_units_of_the_loss_and_the_order_of_batch_sizes_do_not_matter():
    plain = bottoms(2.5 - 0.03 * DOUBLINGS)
    other = Bottoms(
        batch=plain.batch[::-1],
        optimum=plain.optimum[::-1],
        optimum_sd=plain.optimum_sd,
        loss=100 + 70 * plain.loss[::-1],
        loss_sd=70 * plain.loss_sd,
        octave=70 * plain.octave,
    )
    np.testing.assert_allclose(expect_ahead(other).optimum, expect_ahead(plain).optimum)


def test_a_flat_bottom_leaves_the_law_alone_and_a_falling_one_bounds_it():
    batch, growth = [16, 32, 64, 128], 0.8
    optima = [Estimate(2 ** (-9 + growth * k), 2 ** (-9.1 + growth * k), 2 ** (-8.9 + growth * k)) for k in range(4)]
    alone = predict_optimal_lr(fit_batch_law(batch, optima), 1024)
    flat = predict_optimal_lr(fit_batch_law(batch, optima, curves=curves([2.5] * 4, growth)), 1024)
    ending = predict_optimal_lr(fit_batch_law(batch, optima, curves=curves([2.6, 2.55, 2.53, 2.525], growth)), 1024)
    assert flat == alone
    assert ending.value < alone.value
    assert ending.high / ending.low < alone.high / alone.low


def test_a_planted_law_is_ranked_first_whatever_the_loss_does():
    batch = [16, 32, 64, 128, 256]
    optima = [Estimate(1e-3 * b, 0.95e-3 * b, 1.05e-3 * b) for b in batch]
    falling = [2.6, 2.55, 2.53, 2.525, 2.525]
    assert fit_batch_law(batch, optima, curves=curves(falling, 1.0))[0].name == "linear"
