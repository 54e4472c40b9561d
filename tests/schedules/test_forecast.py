"""Forecasts: planted laws are recovered, derivatives are right, and published runs are predicted."""

import csv
import os
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lrscope.errors import InvalidInput
from lrscope.schedules.forecast import fit_loss_law, scheduled_run
from lrscope.schedules.loss_law import LAWS, Units
from lrscope.schedules.rate_history import rate_history, warmup_end

SHARED = Path(os.environ.get("LRSCOPE_SHARED", Path(__file__).resolve().parents[3] / "shared"))
CURVES = SHARED / "data" / "schedule_curves" / "curves.csv"
STEP = np.arange(500, 20_000, 250)
PLANS = {
    "constant": np.full(STEP.size, 1e-3),
    "cosine": 1e-3 * (0.1 + 0.45 * (1 + np.cos(np.pi * (STEP - 500) / 19_500))),
    "drop": np.where(STEP < 8_000, 1e-3, 3e-4),
    "wsd": 1e-3 * np.minimum(1, (20_000 - STEP) / 5_000),
}
UNITS = Units(peak=1e-3, area=20.0)
PLANTED = {
    "multi_power": np.array([2.5, -0.5, -0.8, 0.0, -1.7, 3.0, 0.0, 0.6]),
    "annealing": np.array([2.5, -0.5, -0.8, 0.0, -1.7, -6.9]),
}


def planted_run(name, law, noise=0.0, seed=0):
    loss = LAWS[law].value(PLANTED[law], rate_history(STEP, PLANS[name]), UNITS)[0]
    return scheduled_run(name, STEP, PLANS[name], loss + noise * np.random.default_rng(seed).normal(size=loss.size))


@pytest.mark.parametrize("law", sorted(LAWS))
def test_derivatives_agree_with_differences(law):
    history = rate_history(STEP, PLANS["cosine"])
    theta, width = PLANTED[law], 1e-6
    slopes = LAWS[law].value(theta, history, UNITS)[1]
    for index, unit in enumerate(np.eye(theta.size)):
        ahead, behind = (LAWS[law].value(theta + sign * width * unit, history, UNITS)[0] for sign in (1, -1))
        np.testing.assert_allclose(slopes[:, index], (ahead - behind) / (2 * width), atol=1e-7)


@pytest.mark.parametrize("law", sorted(LAWS))
def test_a_planted_law_is_recovered_and_predicts_a_schedule_not_seen(law):
    fitted = fit_loss_law([planted_run(name, law, noise=1e-3) for name in ("constant", "cosine", "drop")], law=law)
    unseen = planted_run("wsd", law)
    found = fitted.predict(unseen.step, unseen.lr)
    assert np.mean(np.abs(found.loss - unseen.loss)) < 2e-3
    assert fitted.parameters[law]["L0"] == pytest.approx(2.5, abs=0.03)
    assert unseen.loss[-1] in found.final


def test_the_annealing_law_in_closed_form_equals_its_recurrence():
    rates = np.concatenate([np.full(50, 1.0), np.linspace(1.0, 0.2, 200)])
    history = rate_history(np.arange(250), rates)
    theta = np.array([0.0, -50.0, 0.0, 0.0, 0.0, np.log(0.01)])
    found = -LAWS["annealing"].value(theta, history, Units(peak=1.0, area=1.0))[0] / (1 - np.exp(-0.01))
    momentum = total = 0.0
    expected = [0.0]
    for before, after in pairwise(rates):
        momentum = np.exp(-0.01) * momentum + (before - after)
        total += momentum
        expected.append(total)
    np.testing.assert_allclose(found, expected, rtol=0.02, atol=0.3)


def test_a_fit_is_the_same_every_time():
    runs = [planted_run(name, "multi_power", noise=1e-3) for name in ("constant", "cosine")]
    for one, other in zip(fit_loss_law(runs).fits, fit_loss_law(runs).fits, strict=True):
        np.testing.assert_array_equal(one.theta, other.theta)


def test_the_unit_of_the_rate_does_not_matter():
    runs = [planted_run(name, "multi_power", noise=1e-3) for name in ("constant", "cosine", "drop")]
    scaled = [scheduled_run(run.name, run.step, 1e3 * run.lr, run.loss) for run in runs]
    ahead, other = (
        fit_loss_law(some).predict(STEP, factor * PLANS["wsd"]) for some, factor in ((runs, 1.0), (scaled, 1e3))
    )
    np.testing.assert_allclose(ahead.loss, other.loss, atol=1e-5)


def test_the_warmup_is_told_from_the_log_or_assumed():
    assert warmup_end([0.0, 0.5, 1.0, 1.0, 0.9]) == 2
    logged = rate_history(np.arange(0, 1001, 10), np.minimum(1.0, np.arange(0, 1001, 10) / 100))
    assumed = rate_history(np.arange(100, 1001, 10), np.ones(91))
    assert logged.warmup_area == pytest.approx(50)
    assert assumed.warmup_area == pytest.approx(50)
    np.testing.assert_allclose(logged.area, assumed.area)


def test_points_that_are_not_finite_are_left_out():
    run = planted_run("cosine", "multi_power")
    loss = run.loss.copy()
    loss[[3, 40]] = np.nan, np.inf
    assert len(scheduled_run("x", run.step, run.lr, loss).step) == len(run.step) - 2


def test_a_schedule_that_ends_at_zero_has_a_finite_forecast():
    fitted = fit_loss_law([planted_run(name, "multi_power") for name in ("constant", "cosine")])
    rates = np.append(PLANS["wsd"], 0.0)
    assert np.isfinite(fitted.predict(np.append(STEP, 20_000), rates).loss).all()


def test_misuse_is_refused_in_one_sentence():
    constant = planted_run("constant", "multi_power")
    with pytest.raises(InvalidInput, match="lowers its learning rate"):
        fit_loss_law([constant])
    with pytest.raises(InvalidInput, match="at least one run"):
        fit_loss_law([])
    with pytest.raises(InvalidInput, match="multi_power"):
        fit_loss_law([constant], law="cubic")
    with pytest.raises(InvalidInput, match="at least 10 points"):
        scheduled_run("short", [1, 2, 3], [1, 1, 1], [1, 1, 1])
    with pytest.raises(InvalidInput, match="one length"):
        scheduled_run("odd", [1, 2, 3], [1, 1], [1, 1, 1])


def test_runs_of_different_jobs_are_noticed():
    runs = [planted_run(name, "multi_power") for name in ("constant", "cosine")]
    other = scheduled_run("another", STEP, PLANS["drop"], planted_run("drop", "multi_power").loss + 0.5)
    assert any("one model" in note for note in fit_loss_law([*runs, other]).notes)


@pytest.mark.skipif(not CURVES.exists(), reason="the published schedule curves are not beside the repository")
@pytest.mark.parametrize("size", ["25", "100", "400"])
def test_published_runs_are_predicted_from_three(size):
    rows = defaultdict(list)
    with CURVES.open() as file:
        for row in csv.DictReader(file):
            if row["model_M"] == size:
                rows[row["schedule"]].append([float(row[key]) for key in ("step", "lr", "loss")])
    runs = {name: scheduled_run(name, *np.array(points).T) for name, points in rows.items()}
    learnt = ("cosine_24000", "constant_24000", "wsdcon_9")
    fitted = fit_loss_law([runs[name] for name in learnt])
    errors = [
        np.mean(np.abs(fitted.predict(run.step, run.lr).loss - run.loss))
        for name, run in runs.items()
        if name not in learnt
    ]
    assert len(errors) == 6
    assert np.mean(errors) <= 0.005
