"""The recommendation: chosen by expected loss, verified on fresh seeds against the better default, said in words."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lrscope.estimate import Estimate
from lrscope.study.recommend import (
    FRESH_FROM,
    choose_optimum,
    default_lrs,
    mean_estimate,
    reason,
    recommend,
    verification_trials,
)
from lrscope.study.result import Contest, Optimum
from lrscope.study.space import Cell, SearchSpace
from lrscope.study.trial import Trial, TrialResult

SPACE = SearchSpace(
    cells=(Cell(batch_size=16, schedule="cosine"), Cell(batch_size=64, schedule="cosine")), total_steps={16: 40, 64: 10}
)
DEFAULTS = (0.001, 0.01)


def optimum(batch_size: int, loss: float | None, schedule: str = "cosine", lr: float = 0.125) -> Optimum:
    return Optimum(
        batch_size=batch_size, schedule=schedule, status="found", initial_loss=2.0, expected_regret=0.001, runs=3,
        optimal_lr=Estimate(lr, lr / 2, lr * 2), full_run_equivalents=3.0, curve=(),
        expected_loss=None if loss is None else Estimate(loss, loss, loss),
    )  # fmt: skip


def contest(lr: float = 0.125) -> Contest:
    return Contest(batch_size=64, schedule="cosine", peak_lrs={"cosine": lr}, reason="It is the best.")


def ended(trial: Trial, train: float, val: float | None, metrics: dict[str, float] | None = None) -> TrialResult:
    none = np.empty(0)
    return TrialResult(
        trial=trial, status="finished" if math.isfinite(train) else "diverged", diverged_at=None,
        initial_train_loss=2.0, initial_val_loss=None if val is None else 2.0, train_loss=train, val_loss=val,
        metrics=metrics or {}, loss=none, lr=none, probe_step=none.astype(int), grad_norm=none, update_ratio=none,
        eval_step=none.astype(int), eval_loss=none, seconds=1.0, eval_seconds=0.0, examples=640,
    )  # fmt: skip


def verified(ours: list[float], theirs: list[float], other: float = 9.0, sign: float = 1.0) -> list[TrialResult]:
    """The trials of a verification of batch size 64 with these losses; validation is 0.1 worse."""
    chosen = contest()
    asked = verification_trials(SPACE, chosen, DEFAULTS, "val_loss", [])
    results = [ended(one, sign * loss, sign * loss + 0.1) for one, loss in zip(asked[:3], ours, strict=True)]
    results += [ended(asked[3], other, other + 0.1), ended(asked[4], sign * theirs[0], sign * theirs[0] + 0.1)]
    rest = verification_trials(SPACE, chosen, DEFAULTS, "val_loss", results)
    return results + [ended(one, sign * loss, sign * loss + 0.1) for one, loss in zip(rest, theirs[1:], strict=True)]


def test_defaults_are_those_of_pytorch() -> None:
    parameters = [nn.Parameter(torch.ones(1))]
    assert default_lrs(torch.optim.SGD(parameters, lr=1.0)) == (0.001, 0.01)
    assert default_lrs(torch.optim.AdamW(parameters, lr=1.0)) == (0.001,)
    assert default_lrs(torch.optim.Adagrad(parameters, lr=1.0)) == (0.01,)

    class Own(torch.optim.SGD):
        def __init__(self, parameters: Any, lr: float) -> None:
            super().__init__(parameters, lr=lr)

    assert default_lrs(Own(parameters, lr=1.0)) == (0.001, 0.01)


def test_the_largest_batch_within_the_tolerance_of_the_least_loss_is_chosen() -> None:
    optima = [optimum(16, 0.50), optimum(64, 0.51), optimum(256, 0.53)]
    assert choose_optimum(optima, 0.01) is optima[1]
    assert choose_optimum(optima, 0.03) is optima[2]
    assert choose_optimum(optima, 0.001) is optima[0]
    assert choose_optimum([optimum(16, None)], 0.01) is None
    assert choose_optimum([], 0.01) is None
    two = [optimum(64, 0.51, "linear"), optimum(64, 0.50, "cosine")]
    assert choose_optimum(two, 0.01) is two[1]


def test_a_larger_batch_that_is_expected_to_do_worse_is_not_chosen_for_being_uncertain() -> None:
    small, large = optimum(16, 0.50), optimum(64, 0.53)
    assert choose_optimum([small, large], 0.01) is small
    unsure = replace(large, expected_loss=Estimate(0.53, 0.49, 0.57))
    assert choose_optimum([small, unsure], 0.01) is small  # though the intervals overlap
    assert choose_optimum([small, replace(large, expected_loss=Estimate(0.51, None, None))], 0.01) is not small


def test_why_is_said() -> None:
    optima = [optimum(16, 0.50), optimum(64, 0.51), optimum(256, 0.9)]
    assert reason(optima, optima[0]) == "It has the lowest expected loss of all."
    assert reason(optima, optima[1]) == (
        "The lowest expected loss, 0.5, is that of batch size 16; of what lies as near to it as makes no difference, "
        "this has the largest batch size."
    )
    assert reason(optima[:1], optima[0]) == "It is the only choice with an optimum."


def test_the_choice_is_trained_on_fresh_seeds_and_the_better_default_on_the_same() -> None:
    first = verification_trials(SPACE, contest(), DEFAULTS, "val_loss", [])
    assert [(one.peak_lr, one.seed - FRESH_FROM) for one in first] == [
        (0.125, 0), (0.125, 1), (0.125, 2), (0.001, 0), (0.01, 0),
    ]  # fmt: skip
    assert {(one.batch_size, one.total_steps, one.stop_at, one.schedule) for one in first} == {(64, 10, 10, "cosine")}
    results = [ended(one, 1.0, 0.5 if one.peak_lr == 0.001 else 0.7) for one in first]
    second = verification_trials(SPACE, contest(), DEFAULTS, "val_loss", results)
    assert [(one.peak_lr, one.seed - FRESH_FROM) for one in second] == [(0.001, 1), (0.001, 2)]
    done = results + [ended(one, 1.0, 0.5) for one in second]
    assert verification_trials(SPACE, contest(), DEFAULTS, "val_loss", done) == []


def test_a_choice_that_is_the_default_is_trained_once() -> None:
    first = verification_trials(SPACE, contest(lr=0.01), DEFAULTS, "val_loss", [])
    assert len(first) == len(set(first)) == 4


def test_nothing_is_recommended_before_all_is_verified() -> None:
    results = verified([0.5, 0.5, 0.5], [1.0, 1.0, 1.0])
    for missing in range(len(results)):
        part = results[:missing] + results[missing + 1 :]
        assert recommend(SPACE, contest(), DEFAULTS, "val_loss", part) is None


@pytest.mark.parametrize(
    ("ours", "theirs", "sign", "words"),
    [
        (
            [0.50, 0.52, 0.48],
            [1.00, 1.02, 0.98],
            1,
            "The training loss is 50 % lower: 0.5 against 1 at the default 0.01.",
        ),
        (
            [0.50, 0.60, 0.40],
            [0.50, 0.45, 0.56],
            1,
            "Nothing was gained in training loss beyond the noise: 0.5 against",
        ),
        ([1.00, 1.02, 0.98], [0.50, 0.52, 0.48], 1, "At 0.125: The training loss is not lower but higher: 1"),
        ([1.00, 1.02, 0.98], [0.50, 0.52, 0.48], -1, "The training loss is 0.5 lower: -1 against -0.5 at the default"),
        ([0.9999, 0.9999, 0.9999], [1.0, 1.0, 1.0], 1, "The training loss is 0.01 % lower: 1 against 1"),
        ([0.0001, 0.0001, 0.0001], [1.0, 1.0, 1.0], 1, "The training loss is 99.9 % lower: 0.0001 against 1"),
        (
            [0.5, 0.5, 0.5],
            [1.0, math.inf, 1.0],
            1,
            "The default 0.01 diverged; the recommendation's training loss is 0.5.",
        ),
        (
            [0.5, math.inf, 0.5],
            [1.0, 1.0, 1.0],
            1,
            "At 0.125: A run of the recommendation diverged, so its training loss is not",
        ),
    ],
)
def test_the_verdict_says_what_was_gained_or_that_nothing_was(
    ours: list[float], theirs: list[float], sign: float, words: str
) -> None:
    made = recommend(SPACE, contest(), DEFAULTS, "val_loss", verified(ours, theirs, sign=sign))
    assert made is not None
    assert made.verdict.startswith(words)
    assert "validation loss" in made.verdict
    assert made.default_lr == 0.01


def test_the_estimates_are_of_the_metric_and_of_the_training_loss() -> None:
    results = [replace(one, metrics={"accuracy": 0.5}) for one in verified([0.4, 0.5, 0.6], [1.0, 1.1, 1.2])]
    made = recommend(SPACE, contest(), DEFAULTS, "val_loss", results)
    assert made is not None
    assert made.loss.value == pytest.approx(0.6)
    assert made.train_loss.value == pytest.approx(0.5)
    assert (made.default_loss.value, made.default_train_loss.value) == pytest.approx((1.2, 1.1))
    assert made.gain.value == pytest.approx(0.6)
    assert made.reason == "It is the best."
    assert made.metrics["accuracy"].value == 0.5
    assert made.seeds == (FRESH_FROM, FRESH_FROM + 1, FRESH_FROM + 2)


@pytest.mark.parametrize("ours", [[1.0, 0.1, 1.2], [math.inf, 0.4, 0.4]])
def test_nothing_is_recommended_that_did_worse_than_the_default_however_noisy(ours: list[float]) -> None:
    made = recommend(SPACE, contest(), DEFAULTS, "val_loss", verified(ours, [0.50, 0.52, 0.48]))
    assert made is not None
    assert (made.peak_lr, made.loss) == (0.01, made.default_loss)


def test_a_default_that_did_better_is_what_is_recommended() -> None:
    made = recommend(SPACE, contest(), DEFAULTS, "val_loss", verified([1.0, 1.02, 0.98], [0.5, 0.52, 0.48]))
    assert made is not None
    assert (made.peak_lr, made.loss, made.gain.value) == (0.01, made.default_loss, 0.0)
    assert made.train_loss == made.default_train_loss
    assert made.reason == "On fresh seeds this default did better than the rate that was found, 0.125."
    assert "is not lower but higher: 1 against 0.5 at the default 0.01" in made.verdict


def test_a_mean_has_a_central_80_percent_interval() -> None:
    drawn = np.random.default_rng(0).normal(size=(4000, 3))
    estimates = [mean_estimate(values) for values in drawn.tolist()]
    share = np.mean([estimate.low < 0 < estimate.high for estimate in estimates])  # type: ignore[operator]
    assert share == pytest.approx(0.8, abs=0.02)
    assert mean_estimate([2.0]) == Estimate(2.0, None, None)
    assert mean_estimate([2.0, math.inf]) == Estimate(math.inf, None, None)


def test_without_validation_only_the_training_loss_is_judged(trial: Callable[..., Trial]) -> None:
    results = [replace(one, initial_val_loss=None, val_loss=None) for one in verified([0.5] * 3, [1.0, 1.1, 1.2])]
    made = recommend(SPACE, contest(), DEFAULTS, "train_loss", results)
    assert made is not None
    assert "validation" not in made.verdict
