"""Runs that differ by learning rate, read together."""

from __future__ import annotations

import numpy as np
import pytest

import lrscope
from lrscope.curves.curve import Curve
from lrscope.diagnosis.compare import compare
from lrscope.errors import InvalidInput

STEP = np.arange(300)
FINAL = {0.001: 2.0, 0.01: 1.0, 0.1: 0.30, 0.2: 0.28, 1.0: 0.9, 5.0: 2.35}


def sweep(**more: object) -> list[Curve]:
    rng = np.random.default_rng(0)
    curves = []
    for lr, final in FINAL.items():
        loss = final + (2.3 - final) * np.exp(-STEP / 20) + 0.01 * rng.normal(size=300)
        curves.append(Curve(name=f"lr={lr}", step=STEP, loss=loss, lr=np.full(300, lr), **more))  # type: ignore[arg-type]
    curves.append(
        Curve(name="lost", step=STEP, loss=np.where(STEP < 5, 2.3, np.nan), lr=np.full(300, 50.0), **more)  # type: ignore[arg-type]
    )
    return curves


def test_the_sweeps_rule_names_the_regimes() -> None:
    found = [verdict.regime for verdict in lrscope.compare(sweep())]
    assert found == ["low", "low", "good", "good", "high", "very_high", "very_high"]


def test_the_factor_leads_to_the_best_rates() -> None:
    for curve, verdict in zip(sweep(), compare(sweep()), strict=True):
        assert curve.lr is not None
        reached = curve.lr[0] * verdict.lr_factor.value
        assert 0.1 <= reached <= 0.21
        assert verdict.variant == "compare"


def test_groups_that_differ_otherwise_are_apart() -> None:
    small, big = sweep(batch_size=16), sweep(batch_size=256)
    together = compare([*small, *big])
    assert [v.regime for v in together[: len(small)]] == [v.regime for v in compare(small)]
    assert len(together) == len(small) + len(big)


def test_the_edge_of_the_rates_tried_is_not_called_good_against_its_own_curve() -> None:
    rng = np.random.default_rng(0)
    curves = []
    for lr in (1e-5, 1e-4, 1e-3):
        loss = 2.3 - 300 * lr * STEP / 300 + 1e-4 * rng.normal(size=300)
        curves.append(Curve(name=str(lr), step=STEP, loss=loss, lr=np.full(300, lr), optimizer="sgd"))
    verdicts = compare(curves)
    assert {verdict.regime for verdict in verdicts} == {"low"}
    assert verdicts[0].lr_factor.value > verdicts[2].lr_factor.value > 1
    assert "edge of the rates tried" in verdicts[2].evidence[0].says


def test_few_runs_are_judged_singly() -> None:
    assert {verdict.variant for verdict in compare(sweep()[:2])} == {"lr"}


def test_a_run_without_a_rate_is_refused() -> None:
    bare = Curve(name="bare", step=STEP, loss=np.ones(300))
    with pytest.raises(InvalidInput, match="run 'bare' has none"):
        compare([*sweep(), bare])
