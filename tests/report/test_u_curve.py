"""The lecture's picture: nothing in it may leave the chart, or be without a place on its axes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from lrscope.estimate import Estimate
from lrscope.report.charts.u_curve import loss_against_rate
from lrscope.study.result import Optimum, StudyResult


def rows(optima: tuple[Optimum, ...]) -> list[dict[str, Any]]:
    """Every row of data that the chart is drawn from."""
    return [
        row for layer in loss_against_rate(optima, "val_loss").to_dict()["layer"] for row in layer["data"]["values"]
    ]


def test_an_open_interval_goes_as_far_as_the_rates_that_were_tried(study: StudyResult) -> None:
    first = study.optima[0]
    assert first.optimal_lr is not None
    edge = replace(first, status="edge", optimal_lr=Estimate(first.optimal_lr.value, first.optimal_lr.low, None))
    [drawn] = {(row["low"], row["high"]) for row in rows((edge,)) if "status" in row}
    highest = max(point.lr for point in (*edge.curve, *edge.fitted))
    assert drawn == pytest.approx((first.optimal_lr.low, highest), rel=1e-4)


def test_a_fit_below_zero_has_a_place_on_a_logarithmic_axis(study: StudyResult) -> None:
    first = study.optima[0]
    low = replace(first, fitted=tuple(replace(point, loss=-0.1, low=-0.3) for point in first.fitted))
    heights = [row[name] for row in rows((low,)) for name in ("loss", "low") if name in row]
    assert heights
    assert all(math.isfinite(height) and height > 0 for height in heights)


def test_losses_that_are_all_the_same_are_drawn(study: StudyResult) -> None:
    flat = [
        replace(
            optimum,
            expected_loss=Estimate(0.693, None, None),
            curve=tuple(replace(point, loss=0.693) for point in optimum.curve),
            fitted=(),
            initial_loss=0.693,
        )
        for optimum in study.optima
    ]
    assert {row["loss"] for row in rows(tuple(flat)) if "status" in row} == {0.693}
