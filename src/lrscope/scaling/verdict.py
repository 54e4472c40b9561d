"""What a fitted loss-against-learning-rate curve comes to: its status, the optimum, and what to run if it is open."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lrscope.estimate import QUANTILES, Estimate
from lrscope.numbers import format_interval, format_number
from lrscope.scaling.cliff import SAFE_OCTAVES, SEED_SPREAD, Cliff
from lrscope.scaling.posterior import CurvePosterior, Floats

Status = Literal["found", "edge", "inconclusive", "all_diverged"]

WIDEST_OCTAVES = 3.0  # an 80 % interval wider than this is not called found
EDGE_SHARE = 0.3  # the chance of an optimum beyond the best run, at the end of the tested rates, that makes an edge


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The status of a curve, its optimum with an interval, and in words and rates what would settle what is open."""

    status: Status
    optimal_lr: Estimate | None
    edge: Literal["low", "high"] | None
    advice: str
    next_lrs: tuple[float, ...] = ()


def all_diverged(lowest: float) -> Verdict:
    """The verdict on a sweep of which not one run is left."""
    tries = tuple(lowest / 4.0**power for power in (1, 2, 3))
    advice = f"Every run diverged, down to {format_number(lowest)}: run {_listed(tries)}."
    return Verdict(status="all_diverged", optimal_lr=None, edge=None, advice=advice, next_lrs=tries)


def optima(posterior: CurvePosterior, cliff: Cliff | None) -> Floats:
    """Equally likely optima, log₂ η: the minima of the curves, kept clear of the cliff."""
    return posterior.minimum if cliff is None else np.minimum(posterior.minimum, cliff.places - SAFE_OCTAVES)


def judge_curve(
    x: Floats, y: Floats, upper: float | None, posterior: CurvePosterior | None, cliff: Cliff | None, valley: bool
) -> Verdict:
    """The verdict on the mean losses y at x = log₂ η, ascending, below the lowest rate that failed.

    `valley` is whether the losses show a valley over the rates at all.
    """
    best = int(np.argmin(y))
    best_lr = float(np.exp2(x[best]))
    if posterior is None:
        # A rate at which only some seeds fail is itself the lowest that failed: another seed's cliff lies elsewhere.
        ceiling = None if upper is None else max(upper, best_lr * 2**SEED_SPREAD)
        tries = (best_lr / 4, best_lr * 4 if ceiling is None else math.sqrt(best_lr * ceiling))
        what = "The losses do not differ: they" if x.size > 1 else "One learning rate"
        if x.size == 1 and upper is not None:
            what = f"One learning rate without a failed run, {format_number(best_lr)}, alone"
        return Verdict(
            status="inconclusive", edge=None, next_lrs=tries, optimal_lr=Estimate(best_lr, None, ceiling),
            advice=f"{what} cannot show where the optimum is: run {_listed(tries)}.",
        )  # fmt: skip
    minima = optima(posterior, cliff)
    low, middle, high = np.quantile(minima, QUANTILES)
    if not valley:
        tries = (float(np.exp2(x[0])) / 4, float(np.exp2(x[-1])) * 4 if upper is None else best_lr)
        return Verdict(
            status="inconclusive", edge=None, next_lrs=tries, optimal_lr=Estimate(np.exp2(middle), None, None),
            advice="The losses differ by no more than noise makes them: over these learning rates none is better than "
            f"another. Run {_listed(tries)}, or more seeds.",
        )  # fmt: skip
    below, beyond = float(np.mean(minima < x[0])), float(np.mean(minima > x[-1]))
    if below > EDGE_SHARE and best <= 1 and below >= beyond:
        return _edge(x, "low", Estimate(np.exp2(min(middle, x[0])), None, np.exp2(max(high, x[0]))))
    if beyond > EDGE_SHARE and upper is None and best >= x.size - 2:
        return _edge(x, "high", Estimate(np.exp2(max(middle, x[-1])), np.exp2(min(low, x[-1])), None))
    optimum = Estimate(np.exp2(middle), np.exp2(low), np.exp2(high))
    if high - low > WIDEST_OCTAVES or x.size < 2:
        tries = (float(np.exp2((low + middle) / 2)), float(np.exp2((middle + high) / 2)))
        return Verdict(
            status="inconclusive", optimal_lr=optimum, edge=None, next_lrs=tries,
            advice=f"The optimum is open between {format_number(optimum.low)} and {format_number(optimum.high)}: "
            f"run {_listed(tries)}.",
        )  # fmt: skip
    advice = f"The optimum is {format_number(optimum.value)} (80 %: {format_interval(optimum)})."
    return Verdict(status="found", optimal_lr=optimum, edge=None, advice=advice)


def _edge(x: Floats, side: Literal["low", "high"], optimum: Estimate) -> Verdict:
    end = float(np.exp2(x[0] if side == "low" else x[-1]))
    tries = tuple(end * (0.5 if side == "low" else 2.0) ** power for power in (1, 2))
    where = "at or below" if side == "low" else "at or above"
    return Verdict(
        status="edge", optimal_lr=optimum, edge=side, next_lrs=tries,
        advice=f"The optimum is {where} {format_number(end)}, the {'lowest' if side == 'low' else 'highest'} rate "
        f"tried: run {_listed(tries)}.",
    )  # fmt: skip


def _listed(rates: tuple[float, ...]) -> str:
    words = [format_number(rate) for rate in rates]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
