"""Anybody's sweep, group by group, as the charts and tables of a page take it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lrscope.diagnosis.regime import sweep_regimes
from lrscope.estimate import Estimate
from lrscope.report.extract.law import LawPoint, law_line
from lrscope.scaling.posterior import Floats
from lrscope.scaling.steps_to_target import StepsLaw
from lrscope.scaling.table import Curve, GroupScaling, Scaling, Value
from lrscope.study.result import CurvePoint, FittedPoint, Optimum

FITTED_POINTS = 61
DRAWN = 8.0  # the fitted curve is drawn up to so many times the optimum on either side
CLIFF = 4.0
"""Losses farther above the best than so many times the median run's excess would flatten the picture: they are cut."""


@dataclass(frozen=True, kw_only=True)
class SweepGroup:
    """One group of a sweep, ready to draw: its curves as optima, by batch size; `line` is empty without a law."""

    title: str
    source: GroupScaling
    optima: tuple[Optimum, ...]
    line: tuple[LawPoint, ...]

    @property
    def found(self) -> tuple[Optimum, ...]:
        """The curves that have an optimum."""
        return tuple(optimum for optimum in self.optima if optimum.optimal_lr is not None)


@dataclass(frozen=True, kw_only=True)
class StepsPoint:
    """Steps to the target at one batch size, as measured (None on the fitted line) and by the law."""

    group: str
    batch_size: float
    steps: float | None
    fitted: float


def sweep_groups(scaling: Scaling) -> tuple[SweepGroup, ...]:
    """All groups of runs."""
    return tuple(_group(group) for group in scaling.groups)


def group_title(group: Mapping[str, Value]) -> str:
    """A group in words, large numbers with a letter for their size.

    >>> group_title({"n_params": 199957440.0, "wd": 0.1, "optimizer": "Adam"})
    'n_params 200M, wd 0.1, optimizer Adam'
    """
    return ", ".join(f"{name} {text}" for name, text in zip(group, _values(group), strict=True))


def short_title(group: Mapping[str, Value]) -> str:
    """A group's values alone, for where the columns are named once for all groups.

    >>> short_title({"n_params": 199957440.0, "wd": 0.1, "optimizer": "Adam"})
    '200M, 0.1, Adam'
    """
    return ", ".join(_values(group))


def _values(group: Mapping[str, Value]) -> list[str]:
    return [value if isinstance(value, str) else _short(value) for value in group.values()]


def _short(value: float) -> str:
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.6g}"


def curve_points(curve: Curve) -> tuple[CurvePoint, ...]:
    """The runs of a curve by rate, diverged ones included; regimes by the sweep's rule, where the start is known."""
    found = curve.u_curve
    pairs = sorted([*zip(found.lr, found.loss, strict=True), *((lr, math.inf) for lr in found.diverged_lr)])
    regimes: list[str] = ["inconclusive"] * len(pairs)
    if pairs and found.initial_loss is not None and math.isfinite(found.initial_loss):
        regimes = list(sweep_regimes([lr for lr, _ in pairs], [loss for _, loss in pairs], found.initial_loss))
    seeds = dict(zip(found.lr.tolist(), found.runs.tolist(), strict=True))
    return tuple(
        CurvePoint(lr=float(lr), loss=float(loss), regime=regime, seeds=int(seeds.get(float(lr), 1)))
        for (lr, loss), regime in zip(pairs, regimes, strict=True)
    )


def steps_points(groups: tuple[SweepGroup, ...]) -> tuple[StepsPoint, ...]:
    """Measured steps to the target, and the law between and around them."""
    points = []
    for group in groups:
        law = group.source.steps_law
        if law is None:
            continue
        for size, steps in zip(law.batch_size.tolist(), law.steps.tolist(), strict=True):
            points.append(StepsPoint(group=group.title, batch_size=size, steps=steps, fitted=float(law(size))))
        for size in _around(law).tolist():
            points.append(StepsPoint(group=group.title, batch_size=size, steps=None, fitted=float(law(size))))
    return tuple(points)


def _around(law: StepsLaw) -> Floats:
    return np.geomspace(law.batch_size.min() / 1.5, law.batch_size.max() * 2, 41)


def _group(group: GroupScaling) -> SweepGroup:
    optima = tuple(_optimum(curve) for curve in group.curves)
    sizes = [optimum.batch_size for optimum in optima if optimum.optimal_lr is not None]
    return SweepGroup(
        title=group_title(group.group),
        source=group,
        optima=optima,
        line=law_line(group.laws, sizes),
    )


def _optimum(curve: Curve) -> Optimum:
    found = curve.u_curve
    points = curve_points(curve)
    finite = [point.loss for point in points if math.isfinite(point.loss)]
    ceiling = _ceiling(finite) if found.initial_loss is None else found.initial_loss
    return Optimum(
        batch_size=0 if curve.batch_size is None else round(curve.batch_size),
        schedule="",
        status=found.status,
        optimal_lr=found.optimal_lr,
        expected_loss=_drawable(found.expected_loss, finite),
        initial_loss=ceiling,
        expected_regret=None,
        runs=curve.runs,
        full_run_equivalents=float(curve.runs),
        curve=points,
        fitted=_fitted(curve, ceiling),
        advice=found.advice,
    )


def _drawable(loss: Estimate | None, losses: list[float]) -> Estimate | None:
    """The expected loss; where all losses are positive, never what the fit says below zero."""
    if loss is None or not math.isfinite(loss.value):
        return None
    if losses and min(losses) > 0 >= loss.value:
        return Estimate(min(losses), None, loss.high if loss.high is not None and loss.high > min(losses) else None)
    return loss


def _ceiling(losses: list[float]) -> float:
    """What a loss may be and still be drawn, where nothing is known of the loss before training."""
    if not losses:
        return math.inf
    excess = np.array(losses) - min(losses)
    return float(min(losses) + max(CLIFF * float(np.median(excess)), 0.0)) if len(losses) > 2 else max(losses)


def _fitted(curve: Curve, ceiling: float) -> tuple[FittedPoint, ...]:
    found = curve.u_curve
    if found.posterior is None or len(found.lr) < 2:
        return ()
    centre = found.best_lr if found.optimal_lr is None else found.optimal_lr.value
    low, high = max(found.lr.min(), centre / DRAWN), min(found.lr.max(), centre * DRAWN)
    if low >= high:
        return ()
    rates = np.geomspace(low, high, FITTED_POINTS)
    top = min(ceiling, float(found.loss.max()))
    bottom = 0.5 * float(found.loss.min()) if found.loss.min() > 0 else -math.inf
    lows, highs = found.interval(rates)
    points = zip(rates.tolist(), found(rates).tolist(), lows.tolist(), highs.tolist(), strict=True)
    return tuple(
        FittedPoint(lr=lr, loss=loss, low=max(low, bottom), high=min(high, top))
        for lr, loss, low, high in points
        if bottom < loss <= top
    )
