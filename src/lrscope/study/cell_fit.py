"""The loss against the rate, fitted cell by cell, each with what the cells before it say of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lrscope.estimate import QUANTILES, Estimate
from lrscope.scaling.posterior import CurvePrior, Floats
from lrscope.scaling.u_curve import UCurve, fit_u_curve
from lrscope.scaling.verdict import Status
from lrscope.study.placement import expect
from lrscope.study.space import Cell, Observation, SearchSpace

BELOW = 2**0.5  # how far below the rates tried a choice may lie: less is lost there than above them
STRAY = 0.45  # octaves
DOUBTFUL = 3.0  # times the tolerance: a choice expected to lose more is not called found
NEAREST = 0.25  # octaves: no end of an interval lies nearer to the choice
NOTHING = 0.01  # of the initial loss: a smaller gain is none


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a fitted cell comes to: the rate chosen, the interval of the optimum, and what the choice may lose.

    `expected_loss` is the mean loss over seeds that runs at the chosen rate are expected to end at.
    """

    status: Status
    optimal_lr: Estimate | None
    expected_loss: Estimate | None
    expected_regret: float | None
    advice: str


def fit_cells(space: SearchSpace, observations: Sequence[Observation]) -> dict[Cell, UCurve]:
    """The curve fitted to each cell's full runs, in the order of the search; cells without one are left out."""
    fitted: dict[Cell, UCurve] = {}
    for cell in search_order(space):
        fit = fit_cell(cell, space, observations, fitted)
        if fit is not None:
            fitted[cell] = fit
    return fitted


def search_order(space: SearchSpace) -> list[Cell]:
    """The leader, then the batch sizes by their distance from it, then the same for the other schedules."""
    leader = leader_of(space)
    return sorted(space.cells, key=lambda cell: (cell.schedule != leader.schedule, distance(cell, leader), cell))


def leader_of(space: SearchSpace) -> Cell:
    """The cell searched first, whose findings the others start from: the middle batch size, the first schedule."""
    sizes = sorted({cell.batch_size for cell in space.cells})
    return Cell(batch_size=sizes[len(sizes) // 2], schedule=space.cells[0].schedule)


def distance(cell: Cell, other: Cell) -> float:
    """Octaves between the batch sizes of two cells."""
    return abs(math.log2(cell.batch_size / other.batch_size))


def fit_cell(
    cell: Cell, space: SearchSpace, observations: Sequence[Observation], before: dict[Cell, UCurve]
) -> UCurve | None:
    """The curve fitted to a cell's full runs, given those of the cells before it; None where there is no full run."""
    full = [seen for seen in observations if cell.has(seen.trial) and space.is_full(seen.trial)]
    if not full:
        return None
    full.sort(key=lambda seen: seen.trial)
    lr = np.array([seen.trial.peak_lr for seen in full])
    loss = np.array([seen.loss for seen in full])
    initial = float(np.mean([seen.initial_loss for seen in full]))
    gain = initial - float(np.min(loss))
    prior: CurvePrior | None = None
    if "neighbours" in space.savings:
        prior = expect(cell, before, gain if math.isfinite(gain) else None)
    seeds = tuple(seen.trial.seed for seen in full)
    return _fit(tuple(lr.tolist()), tuple(loss.tolist()), initial, seeds, prior)


@lru_cache(maxsize=1024)
def _fit(
    lr: tuple[float, ...], loss: tuple[float, ...], initial: float, seeds: tuple[int, ...], prior: CurvePrior | None
) -> UCurve:
    """The fit, once for the same runs: a search asks again at every round, and most cells have not changed."""
    return fit_u_curve(lr, loss, initial_loss=initial, seed=seeds, prior=prior)


@lru_cache(maxsize=1024)
def choose_lr(fitted: UCurve) -> float | None:
    """The rate of least expected regret under the fitted curves and the cliff, among rates like those tried.

    The curve is steeper to the right, so this lies a little left of the most likely optimum where that is uncertain.
    """
    best = fitted.optimal_lr
    if best is None or fitted.posterior is None:
        return None if best is None else best.value
    fine = fine_rates(fitted)
    low, high = float(fine[0]) / BELOW, float(fine[-1])
    rates = np.geomspace(low, high, max(41, 8 * math.ceil(math.log2(high / low)) + 1))
    return float(rates[np.argmin(fitted.expected_regret(rates))])


def fine_rates(fitted: UCurve) -> Floats:
    """The rates below the first that failed, ascending; the lowest of all where that failed too."""
    limit = math.inf if fitted.failed_lr is None else fitted.failed_lr * (1 - 1e-9)
    fine = fitted.lr[fitted.lr < limit]
    return fine if fine.size else fitted.lr[:1]


@lru_cache(maxsize=1024)
def expected_regret(fitted: UCurve) -> float:
    """What the choice is expected to lose; infinite where nothing could be fitted."""
    choice = choose_lr(fitted)
    regret = math.inf if choice is None else float(fitted.expected_regret(choice))
    return regret if math.isfinite(regret) else math.inf


def judge(fitted: UCurve, space: SearchSpace) -> Choice:
    """The choice and its status: found where it is expected to lose no more than the tolerance, within the range.

    An optimum that may lie beyond the rates tried is found all the same where little can be gained there; one at the
    end of the range stays an edge.
    """
    choice, best, regret = choose_lr(fitted), fitted.optimal_lr, expected_regret(fitted)
    status, advice = fitted.status, fitted.advice
    if choice is None or best is None:
        return Choice(status=status, optimal_lr=None, expected_loss=None, expected_regret=None, advice=advice)
    low, high = _interval(fitted)
    at_end = min(choice / space.lr_low, space.lr_high / choice) < 2**0.25
    if _nothing_gained(fitted):
        status, low, high = "inconclusive", None, None
        advice = f"No learning rate lowered the loss by {100 * NOTHING:.0f} %: look at the task, or go wider with --lr."
    elif status == "edge" and (at_end or regret > space.tolerance):
        low, high = (None, high) if fitted.edge == "low" else (low, None)
    elif status != "found" and fitted.posterior is not None and regret <= space.tolerance:
        status = "found"
    elif status == "found" and regret > DOUBTFUL * space.tolerance:
        status = "inconclusive"
        lost = f"{100 * regret:.1f} % of what training gains"
        advice = f"The choice {choice:.3g} is expected to lose {lost}: allow more seeds."
    low = None if low is None else min(low, choice / 2**NEAREST)
    high = None if high is None else max(high, choice * 2**NEAREST)
    if status == "found" and low is not None and high is not None:
        advice = f"The optimum is {choice:.3g} (80 %: {low:.3g} to {high:.3g})."
    elif status == "found":
        advice = f"Among these learning rates none is better than another beyond the noise: {choice:.3g} will do."
    return Choice(
        status=status,
        optimal_lr=Estimate(choice, low, high),
        expected_loss=fitted.expected_loss_at(choice),
        expected_regret=regret if math.isfinite(regret) else None,
        advice=advice,
    )


def _nothing_gained(fitted: UCurve) -> bool:
    start = fitted.initial_loss
    return start is not None and bool(start - fitted.loss.min() <= NOTHING * abs(start))


def _interval(fitted: UCurve) -> tuple[float | None, float | None]:
    """The central 80 % interval of the optimum: of the fitted minima, which stray from the mean's over seeds.

    Open where nothing was fitted, or where the losses show no valley that a minimum could be of.
    """
    best = fitted.optimal_lr
    if best is None or fitted.posterior is None or (best.low is None and best.high is None):
        return (None, None) if best is None else (best.low, best.high)
    octaves = np.log2(fitted.optimal_lr_samples)
    strays = STRAY * np.random.default_rng(0).standard_normal(octaves.size)
    low, _, high = np.exp2(np.quantile(octaves + strays, QUANTILES))
    return float(low), float(high)
