"""The search by short runs: a pure function, tested on planted curves."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrscope.errors import InvalidInput
from lrscope.study.short_runs import (
    EARLY,
    LOWEST,
    SMALLEST_BATCH,
    Branch,
    Job,
    ShortRun,
    next_runs,
    read_branches,
    search,
    short_run,
)


def job(
    total_steps: int = 5000, budget: float = 0.3, batch_size: int = 64, usual: float = -5.0, normalised: bool = True
) -> Job:
    return Job(
        total_steps=total_steps, batch_size=batch_size, smallest_batch=SMALLEST_BATCH, budget=budget, usual=usual,
        normalised=normalised,
    )  # fmt: skip


def planted(best: float, cliff: float = 1.5, gain: float = 2.0):
    """Short runs whose loss is a U about 2^best, with a cliff `cliff` octaves to the right, whatever their length."""

    def train(run: ShortRun) -> Branch:
        distance = run.octave - best
        loss = math.inf if distance > cliff else 2.3 - gain * math.exp(-0.03 * distance**2)
        return Branch(run=run, loss=loss, initial_loss=2.3, examples=run.steps * run.batch_size)

    return train


@given(st.floats(-13, 1), st.floats(0.6, 3), st.integers(60, 100_000), st.sampled_from([1, 7, 64, 512]))
@settings(max_examples=60, deadline=None)
def test_answers_near_a_planted_optimum_within_the_budget(best, cliff, total_steps, batch_size):
    wanted = job(total_steps, batch_size=batch_size)
    branches, reading = search(wanted, planted(best, cliff))
    assert sum(branch.examples for branch in branches) <= 0.3 * wanted.full_examples
    if total_steps >= 200:
        assert reading.suggestion.low < reading.suggestion.value < reading.suggestion.high
        assert math.log2(reading.suggestion.value) < best + cliff + 1.5
    if total_steps >= 200 and reading.status == "found":
        assert abs(math.log2(reading.suggestion.value) - best) <= 2.6
        assert math.log2(reading.suggestion.value) < best + cliff


@given(st.integers(-100, -20).map(lambda tenth: tenth / 10 + 0.03), st.integers(-16, 16))  # no rate is at the cliff
@settings(max_examples=30, deadline=None)
def test_moving_the_curve_and_what_is_usual_moves_the_answer(best, quarters):  # on which rates are tried
    shift = quarters / 4
    _, first = search(job(), planted(best))
    _, second = search(job(usual=-5.0 + shift), planted(best + shift))
    assert math.log2(second.suggestion.value / first.suggestion.value) == pytest.approx(shift, abs=0.05)


def test_what_is_usual_weighs_less_the_more_is_seen():
    answers = [math.log2(search(job(usual=usual), planted(-9.0))[1].suggestion.value) for usual in (-9.0, -5.0, -1.0)]
    assert max(answers) - min(answers) < 1.5
    blind = [search(job(budget=1e-6, usual=usual), planted(-9.0))[1].suggestion for usual in (-9.0, -1.0)]
    assert math.log2(blind[1].value / blind[0].value) == pytest.approx(8.0, abs=0.05)


def test_what_learns_late_is_kept_further_from_the_edge_under_sgd():
    branches, _ = search(job(), planted(-5.0))
    early, late = [
        [replace(one, loss=2.3 - share * (2.3 - one.loss)) if one.run.stage == "look" else one for one in branches]
        for share in (1.0, 0.1)
    ]
    lower = {}
    for normalised in (False, True):
        first, second = (read_branches(job(normalised=normalised), some).suggestion for some in (early, late))
        lower[normalised] = math.log2(first.value / second.value)
    assert lower[False] == pytest.approx(0.9 * EARLY * 0.65, abs=0.15)  # what is usual has the rest of the weight
    assert lower[True] == 0


def test_an_edge_seen_through_a_small_gain_is_less_sure():
    widths = {}
    for gain in (0.15, 0.4):
        estimate = search(job(), planted(-5.0, gain=gain))[1].suggestion
        widths[gain] = math.log2(estimate.high / estimate.low)
    assert widths[0.15] > widths[0.4] + 0.3


def test_asks_for_nothing_twice_and_is_pure():
    train, done = planted(-5.0), []
    while asked := next_runs(job(), done):
        assert next_runs(job(), list(reversed(done))) == asked
        assert not {branch.run for branch in done} & set(asked)
        done += map(train, asked)
    assert {branch.run.stage for branch in done} == {"look", "walk"}


def test_all_diverged():
    branches, reading = search(job(), lambda run: Branch(run=run, loss=math.inf, initial_loss=2.3, examples=64))
    assert (reading.status, reading.suggestion) == ("all_diverged", None)
    assert "diverged" in reading.advice
    assert min(branch.run.octave for branch in branches) == LOWEST


def test_nothing_learned_or_too_few_updates_is_inconclusive():
    flat = search(job(), lambda run: Branch(run=run, loss=2.3, initial_loss=2.3, examples=run.steps * run.batch_size))
    assert flat[1].status == "inconclusive"
    assert "next to nothing" in flat[1].advice
    few = search(job(10, batch_size=1), planted(-5.0))[1]
    assert few.status == "inconclusive"
    assert "too small" in few.advice


def test_a_rate_that_works_above_one_that_does_harm_is_luck():
    def train(run: ShortRun) -> Branch:
        lucky = run.stage == "walk" and run.octave > -5.0
        loss = 0.1 if lucky else 50.0 if run.octave > -6.0 else 1.0 + 0.03 * (run.octave + 8) ** 2
        return Branch(run=run, loss=loss, initial_loss=2.3, examples=run.steps * run.batch_size)

    assert search(job(usual=-4.0), train)[1].suggestion.value < 2.0**-6


def test_where_longer_runs_learn_nothing_and_shorter_ones_did_the_walk_goes_left():
    def train(run: ShortRun) -> Branch:
        loss = 2.3 if run.stage == "walk" and run.octave > -6.0 else 2.3 - 2 * math.exp(-0.03 * (run.octave + 5) ** 2)
        return Branch(run=run, loss=loss, initial_loss=2.3, examples=run.steps * run.batch_size)

    first, second, *others = [branch.run.octave for branch in search(job(), train)[0] if branch.run.stage == "walk"]
    assert first > -6.0
    assert others == sorted(others, reverse=True)
    assert others[-1] < -6.0 < first < second


def test_a_best_rate_that_is_the_lowest_is_inconclusive():
    def train(run: ShortRun) -> Branch:
        return Branch(run=run, loss=1.0 + 0.01 * run.octave, initial_loss=2.3, examples=run.steps * run.batch_size)

    assert search(job(), train)[1].status == "inconclusive"


def test_a_batch_is_cut_where_a_run_would_have_too_few_updates():
    long = short_run(job(5000), "walk", -5.0)
    assert (long.batch_size, long.steps) == (64, 277)
    short = short_run(job(100), "walk", -5.0)
    assert (short.batch_size, short.steps) == (16, 22)
    assert short_run(job(100, batch_size=3), "look", -5.0).batch_size == 3


@pytest.mark.parametrize("budget", [0.0, -1.0, 11.0, math.nan])
def test_a_budget_that_is_none_is_refused(budget):
    with pytest.raises(InvalidInput, match="budget"):
        job(budget=budget)
