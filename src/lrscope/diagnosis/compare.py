"""Runs that differ by learning rate, read together: each is judged relative to the best of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lrscope.curves.curve import Curve
from lrscope.diagnosis.advice import advise
from lrscope.diagnosis.diagnose import Diagnosis, Evidence, Verdict, diagnose, ended_not_finite
from lrscope.diagnosis.evidence import has_rate
from lrscope.diagnosis.regime import GOOD_EXCESS, REGIMES, accepted_regimes, sweep_excess, sweep_regimes
from lrscope.diagnosis.shape import make_shape
from lrscope.errors import InvalidInput
from lrscope.estimate import Estimate

FEWEST_RUNS = 3
SURE = 0.7
"""From this probability on, the single verdict on the best run overrules its being the best of the runs at hand."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sweep:
    """Runs that differ by rate: peak rates, final losses (NaN = diverged), excess and the initial loss."""

    lr: NDArray[np.float64]
    loss: NDArray[np.float64]
    excess: NDArray[np.float64]
    initial: float


def compare(curves: Sequence[Curve]) -> list[Diagnosis]:
    """Judge runs that differ by learning rate relative to each other, in the order given.

    The runs are grouped by what else is known of them (optimizer, batch size, planned steps). Within a group the rule
    of the sweep names the regimes from the losses over the last 5 % of the steps that the runs share. Where the best
    run lies at the edge of the rates tried and its own curve says clearly that a better rate lies beyond, that is
    heeded. Groups of fewer than three runs are judged singly.

    Raises:
        InvalidInput: a run without a logged learning rate.
    """
    missing = [curve.name for curve in curves if not has_rate(curve)]
    if missing:
        raise InvalidInput(
            f"Runs are compared by their learning rate, and run '{missing[0]}' has none in its log: add a "
            "column 'lr', or judge the runs singly."
        )
    result: list[Diagnosis | None] = [None] * len(curves)
    groups: dict[tuple[object, ...], list[int]] = {}
    for i, curve in enumerate(curves):
        groups.setdefault((curve.optimizer, curve.batch_size, curve.total_steps), []).append(i)
    for members in groups.values():
        judged = _compare_group([curves[i] for i in members])
        for i, diagnosis in zip(members, judged, strict=True):
            result[i] = diagnosis
    return [diagnosis for diagnosis in result if diagnosis is not None]


def _compare_group(curves: list[Curve]) -> list[Diagnosis]:
    single = [diagnose(curve) for curve in curves]
    if len(curves) < FEWEST_RUNS:
        return single
    sweep = _sweep(curves)
    if not np.isfinite(sweep.loss).any() or not np.nanmin(sweep.loss) < sweep.initial:
        return single
    regimes = list(sweep_regimes(sweep.lr, sweep.loss, sweep.initial))
    accepted = accepted_regimes(sweep.lr, sweep.loss, sweep.initial)
    best = int(np.nanargmin(sweep.loss))
    beyond = _beyond_the_edge(sweep, best, single[best])
    out = []
    for i, alone in enumerate(single):
        verdict: Verdict = regimes[i]
        if beyond is not None and verdict == "good":
            verdict = beyond
        sure = 0.9 if len(accepted[i]) == 1 and beyond is None else 0.65
        rest = (1 - sure) / max(1e-9, sum(p for name, p in alone.probabilities.items() if name != verdict))
        flat = sum(p for name, p in alone.probabilities.items() if name != verdict) < 1e-9
        probabilities: dict[str, float] = {
            name: sure if name == verdict else ((1 - sure) / 3 if flat else rest * alone.probabilities[name])
            for name in REGIMES
        }
        factor = single[best].lr_factor if beyond is not None else _factor(sweep, i)
        if beyond is not None:
            shift = sweep.lr[best] / sweep.lr[i]
            ends = [None if end is None else end * shift for end in (factor.low, factor.high)]
            factor = Estimate(factor.value * shift, *ends)
        evidence = (_relative(sweep, i, best, beyond), *alone.evidence)
        advice = advise(verdict, factor, alone.findings, None)
        out.append(
            replace(
                alone, regime=verdict, probabilities=probabilities, lr_factor=factor, evidence=evidence, advice=advice,
                variant="compare",
            )
        )  # fmt: skip
    return out


def _sweep(curves: list[Curve]) -> _Sweep:
    lr = np.array([float(np.nanmax(curve.lr)) for curve in curves if curve.lr is not None])
    diverged = [ended_not_finite(curve) for curve in curves]
    last = min((int(c.step[-1]) for c, lost in zip(curves, diverged, strict=True) if not lost), default=0)
    finals = np.array([np.nan if lost else _final(c, last) for c, lost in zip(curves, diverged, strict=True)])
    initials = [shape.initial for curve in curves if (shape := make_shape(curve)) is not None]
    initial = float(np.median(initials)) if initials else float("nan")
    return _Sweep(lr=lr, loss=finals, excess=sweep_excess(finals, initial), initial=initial)


def _final(curve: Curve, last: int) -> float:
    """The mean loss over the last 5 % of the steps up to `last`."""
    span = last - int(curve.step[0])
    inside = (curve.step <= last) & (curve.step > last - max(1, 0.05 * span)) & np.isfinite(curve.loss)
    return float(curve.loss[inside].mean()) if inside.any() else float(np.interp(last, curve.step, curve.loss))


def _beyond_the_edge(sweep: _Sweep, best: int, alone: Diagnosis) -> Verdict | None:
    if sweep.lr[best] == sweep.lr.max() and alone.probabilities["low"] >= SURE:
        return "low"
    if sweep.lr[best] == sweep.lr.min() and alone.probabilities["high"] + alone.probabilities["very_high"] >= SURE:
        return "high"
    return None


def _factor(sweep: _Sweep, i: int) -> Estimate:
    """The middle of the rates within 1 % of the best over the run's rate; the interval: the rates within 5 %."""
    logs, excess = np.log(sweep.lr), sweep.excess
    tight, good = logs[excess <= 0.01], logs[excess <= GOOD_EXCESS]
    middle = 0.5 * (tight.min() + tight.max())
    low = None if good.min() == logs.min() else float(np.exp(good.min() - logs[i]))
    high = None if good.max() == logs.max() else float(np.exp(good.max() - logs[i]))
    return Estimate(float(np.exp(middle - logs[i])), low, high)


def _relative(sweep: _Sweep, i: int, best: int, beyond: Verdict | None) -> Evidence:
    rate = f"{sweep.lr[best]:.3g}"
    if i == best:
        says = f"It ends lowest of the {len(sweep.lr)} runs, at a peak rate of {rate}."
        if beyond is not None:
            says += " That is the edge of the rates tried, and its curve says that a better one lies beyond."
        return Evidence(what="excess", value=0.0, says=says)
    if not np.isfinite(sweep.loss[i]):
        return Evidence(what="excess", value=float("inf"), says=f"It diverged; the best run has a peak rate of {rate}.")
    excess = float(sweep.excess[i])
    return Evidence(
        what="excess", value=excess,
        says=f"It ends {100 * excess:.1f} % of the best run's fall above the best run, whose peak rate is {rate}.",
    )  # fmt: skip
