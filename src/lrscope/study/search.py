"""Which trials to run next: a pure function of the space and of what the trials so far gave.

Short runs find the region of the first cell. A short run is the whole schedule compressed into T/16 updates: it is
annealed too, so its best rate lies near the full run's (a run cut short would not be), but above it where the full run
has the time to become unstable. Every other cell starts where the fitted ones say it lies (`placement`), so it needs
no short runs; it waits for its neighbour. From there full runs walk towards the minimum until the fitted curve, with
the chance of a cliff, says that the choice is expected to lose less than the tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lrscope.scaling.edge import best_octave, find_edge
from lrscope.scaling.posterior import CurvePrior
from lrscope.scaling.u_curve import UCurve
from lrscope.study.cell_fit import (
    NOTHING,
    choose_lr,
    distance,
    expected_regret,
    fine_rates,
    fit_cell,
    leader_of,
    search_order,
)
from lrscope.study.placement import expect
from lrscope.study.space import DECIMALS, Cell, Observation, SearchSpace, full_trial, octave_of
from lrscope.study.trial import Trial

COMPRESSION = 16
SHORTEST_STEPS = 16
FIRST_LOOK = (-10, -7, -4, -1)  # log₂ η of the first short runs where nothing is known
BELOW_EDGE = 1.3  # octaves from the edge of the short runs to the expected optimum of the full ones
LEAN = 0.25  # octaves: the first pair of full runs lies this much left of the expected optimum, where less is lost
GRID_PER_OCTAVE = 4
FAR = 0.2  # the chance of an optimum outside the rates tried at which a search goes there
SAFETY = 0.8  # of the tolerance: what the expected regret must come down to, since it is itself an estimate
LAG = 0.05  # of another cell's gain: a cell that is this far behind may have been tried too high only
LEFT_LOOKED = 1.4  # octaves below the best rate that settle it
CLIFF_NEAR = 0.02
WIDE_GAP = 1.4  # octaves between the best rate and a cliff, wide enough to look for a better one in between
ENOUGH_RUNS = 4  # after which twice the tolerance will do
OVERFIT = 0.1  # the share of the gain that validation may lie above training before overfitting is looked for
CLEAR_RISE = 1.5  # of the tolerance, above the noise: what a rate that is too low must lose where training overfits
VALIDATION_BELOW = 0.5  # octaves: the optimum of the validation loss lies that of the training loss or below
HOPELESS = 0.03  # an expected regret above which more runs are made
MOST_RUNS = 9
MAX_RUNS = 6  # full runs of a cell


def next_trials(space: SearchSpace, observations: Sequence[Observation]) -> list[Trial]:
    """The next round of trials; empty when the search is finished."""
    if space.method == "grid":
        return [] if observations else grid_trials(space)
    leader = leader_of(space)
    round_: list[Trial] = []
    waiting: set[Cell] = set()
    fitted: dict[Cell, UCurve] = {}
    for cell in search_order(space):
        before = _predecessor(cell, leader, space)
        if before in waiting:
            waiting.add(cell)
            continue
        asked = _View(space, cell, observations, fitted).next_trials()
        if asked:
            waiting.add(cell)
            round_ += asked
            continue
        fit = fit_cell(cell, space, observations, fitted)
        if fit is not None:
            fitted[cell] = fit
    return round_


def _predecessor(cell: Cell, leader: Cell, space: SearchSpace) -> Cell | None:
    """The cell that must be finished first: the next batch size towards the leader, or the first schedule's cell."""
    if cell == leader or "neighbours" not in space.savings:
        return None
    if cell.schedule != leader.schedule:
        return Cell(batch_size=cell.batch_size, schedule=leader.schedule)
    nearer = [
        other
        for other in space.cells
        if other.schedule == leader.schedule
        and (other.batch_size < cell.batch_size) == (leader.batch_size < cell.batch_size)
        and distance(other, leader) < distance(cell, leader)
    ]
    return max([*nearer, leader], key=lambda other: distance(other, leader))


def grid_trials(space: SearchSpace) -> list[Trial]:
    """Every rate of a grid from `lr_low` to `lr_high`, two an octave (one where more than 12 octaves), every seed."""
    octaves = math.log2(space.lr_high / space.lr_low)
    points = max(2, round(octaves * (2 if octaves <= 12 else 1)) + 1)
    rates = np.geomspace(space.lr_low, space.lr_high, points) if octaves > 0 else np.array([space.lr_low])
    return [
        full_trial(space, cell, float(rate), space.base_seed + seed)
        for cell in space.cells
        for rate in rates
        for seed in range(space.seeds)
    ]


def snap(octave: float) -> float:
    """log₂ η on the grid of quarter octaves, so that runs of different rounds meet at the same rates."""
    return round(octave * GRID_PER_OCTAVE) / GRID_PER_OCTAVE


class _View:
    """One cell, as the observations so far show it. Octaves are log₂ of the learning rate."""

    def __init__(
        self, space: SearchSpace, cell: Cell, observations: Sequence[Observation], fitted: dict[Cell, UCurve]
    ) -> None:
        self.space = space
        self.cell = cell
        self.fitted = fitted
        self.low, self.high = math.log2(space.lr_low), math.log2(space.lr_high)
        self.seen = mine = [seen for seen in observations if cell.has(seen.trial)]
        self.full = [seen for seen in mine if space.is_full(seen.trial)]
        self.short = {octave_of(seen.trial): seen.train_loss for seen in mine if not space.is_full(seen.trial)}
        self.short_initial = next((seen.initial_train_loss for seen in mine), math.inf)
        self.full_steps = space.total_steps[cell.batch_size]
        self.short_steps = min(self.full_steps, max(SHORTEST_STEPS, math.ceil(self.full_steps / COMPRESSION)))
        self.tried = sorted({octave_of(seen.trial) for seen in self.full})
        self.expected: CurvePrior | None = expect(cell, fitted) if "neighbours" in space.savings else None
        self.fit = fit_cell(cell, space, observations, fitted)

    def next_trials(self) -> list[Trial]:
        """The cell's next round."""
        if self.full:
            return self._next_full()
        if self.expected is not None:
            return self._first_pair(self.expected.minimum)
        if "bracket" not in self.space.savings or self.full_steps <= SHORTEST_STEPS:
            return self._full_runs(FIRST_LOOK)
        octaves = self._next_short()
        if octaves:
            return [self._trial(octave, self.short_steps, 0) for octave in octaves]
        best, edge = best_octave(self.short), find_edge(self.short, self.short_initial)
        if best is None:  # every short run diverged, down to the lowest rate
            return []
        overfitting = any(seen.loss != seen.train_loss for seen in self.seen)
        lower = VALIDATION_BELOW if overfitting else 0.0
        return self._first_pair((best if edge is None else edge.octave - BELOW_EDGE) - lower)

    def _first_pair(self, octave: float) -> list[Trial]:
        start = min(max(octave - LEAN, self.low + 0.5), self.high - 0.5)
        return self._full_runs([start - 0.5, start + 0.5])

    def _next_short(self) -> list[float]:
        """Short runs until the best is not the lowest and the edge lies within an octave."""
        if not self.short:
            return self._allowed(FIRST_LOOK)
        best, edge = best_octave(self.short), find_edge(self.short, self.short_initial)
        if best is None:
            wanted = [min(self.short) - 3, min(self.short) - 6]
        else:
            wanted = [best - 3] if best == min(self.short) else []
            if edge is None:
                wanted.append(max(self.short) + 2)
            elif edge.upper - edge.lower > 1.01:
                gap = edge.upper - edge.lower
                wanted += [edge.lower + 1] if gap < 2.5 else [edge.lower + 1, edge.lower + 2]
        return [octave for octave in self._allowed(wanted) if octave not in self.short]

    def _next_full(self) -> list[Trial]:
        """Towards the minimum, until the choice is expected to lose little enough."""
        fit = self.fit
        regret = math.inf if fit is None else expected_regret(fit)
        if fit is None or len(self.full) >= (MAX_RUNS if regret <= HOPELESS else MOST_RUNS):
            return []
        if fit.status == "all_diverged" or self._learned_nothing():
            return self._full_runs([self.tried[0] - 1.5])
        if fit.posterior is None:  # one rate that trained, or losses that do not differ
            best = math.log2(fine_rates(fit)[-1])
            beside = [best - 1] if fit.failed_lr is not None else [best - 1, best + 1]
            return self._below_cliff(fit) or self._full_runs(beside) or self._full_runs([self.tried[0] - 1.5])
        look_left = self._may_overfit(fit) or self._lags(fit)
        if len(self.tried) >= 2 and regret <= SAFETY * self.space.tolerance and not look_left:
            return []
        further = self._full_runs([self.tried[0] - 1.5]) if look_left else self._walk(fit)
        if len(self.full) >= ENOUGH_RUNS and regret <= 2 * self.space.tolerance and not further:
            return []
        return self._below_cliff(fit) or further or self._refine(fit)

    def _learned_nothing(self) -> bool:
        """Whether no run gained anything while one failed: all are too high."""
        best = min(self.full, key=lambda seen: seen.loss)
        nothing = not best.initial_loss - best.loss > NOTHING * abs(best.initial_loss)
        return nothing and any(seen.loss > seen.initial_loss for seen in self.full)

    def _below_cliff(self, fit: UCurve) -> list[Trial]:
        """A rate between the best, where it is the highest that trained, and a run that failed far above it."""
        if fit.failed_lr is None:
            return []
        highest, failed = math.log2(fine_rates(fit)[-1]), math.log2(fit.failed_lr)
        best = math.log2(fit.best_lr)
        if best < highest - 1e-6 or failed - highest < WIDE_GAP:
            return []
        return self._full_runs([(highest + failed) / 2])

    def _may_overfit(self, fit: UCurve) -> bool:
        """Whether the validation loss lies far above the training loss, and is no higher at the lowest rate tried.

        Its minimum is then far to the left, and rates that overfit alike look like the bottom of a curve.
        """
        best = min(self.full, key=lambda seen: seen.loss)
        gain = best.initial_loss - best.loss
        overfits = best.loss - best.train_loss > OVERFIT * gain
        return overfits and bool(fit.loss[0] - fit.loss.min() < CLEAR_RISE * self.space.tolerance * gain)

    def _lags(self, fit: UCurve) -> bool:
        """Whether the best loss is well above another cell's, and no rate far below the best one has been tried.

        Rates that are too high may fail in part, at random, without a cliff: then all that were tried look alike.
        """
        others = [float(other.loss.min()) for other in self.fitted.values()]
        if not others or fit.initial_loss is None:
            return False
        behind = float(fit.loss.min()) - min(others) > LAG * (fit.initial_loss - min(others))
        return behind and math.log2(fit.best_lr / fit.lr[0]) < LEFT_LOOKED

    def _walk(self, fit: UCurve) -> list[Trial]:
        """A rate beyond those tried, where the optimum is likely to lie there."""
        optima, fine = np.log2(fit.optimal_lr_samples), np.log2(fine_rates(fit))
        middle = float(np.median(optima))
        asked: list[Trial] = []
        if np.mean(optima < fine[0] - 0.1) > FAR:
            asked = self._full_runs([min(max(middle - 0.25, fine[0] - 2), fine[0] - 0.75)])
        if not asked and fit.failed_lr is None and np.mean(optima > fine[-1] + 0.1) > FAR:
            asked = self._full_runs([min(max(middle, fine[-1] + 0.75), fine[-1] + 1.5)])
        return asked

    def _refine(self, fit: UCurve) -> list[Trial]:
        """One more run where it says most: near the choice, towards a cliff, or at the best rate so far."""
        choice = choose_lr(fit)
        if choice is None:
            return []
        octave, best = math.log2(choice), math.log2(fit.best_lr)
        places = [octave, best]
        if fit.cliff is not None and float(fit.cliff.failing(np.array([octave + 0.5]))[0]) > CLIFF_NEAR:
            places = [octave + 0.5, *places]  # how near may one go?
        if fit.failed_lr is not None:
            places.append((best + math.log2(fit.failed_lr)) / 2)
        for place in places:
            if asked := self._another_run(place):
                return asked
        return []

    def _another_run(self, octave: float) -> list[Trial]:
        """A run at a rate, or the next seed at the one tried that is near; none where all seeds ran there."""
        nearest = min(self.tried, key=lambda tried: abs(tried - octave))
        if abs(nearest - octave) > 0.3:
            return self._full_runs([octave])
        done = {seen.trial.seed for seen in self.full if octave_of(seen.trial) == nearest}
        for number in range(1, self.space.seeds):
            if self.space.base_seed + number not in done:
                return [self._trial(nearest, self.full_steps, number)]
        return []

    def _full_runs(self, octaves: Sequence[float]) -> list[Trial]:
        """Full runs on the first seed at those octaves that are new."""
        return [
            self._trial(octave, self.full_steps, 0) for octave in self._allowed(octaves) if octave not in self.tried
        ]

    def _allowed(self, octaves: Sequence[float]) -> list[float]:
        """The octaves on the grid; those outside the range become its ends."""
        clipped = [min(max(snap(octave), self.low), self.high) for octave in octaves]
        return list(dict.fromkeys(round(octave, DECIMALS) for octave in clipped))

    def _trial(self, octave: float, steps: int, seed: int) -> Trial:
        return Trial(
            batch_size=self.cell.batch_size,
            peak_lr=2.0**octave,
            schedule=self.cell.schedule,
            seed=self.space.base_seed + seed,
            total_steps=steps,
            stop_at=steps,
        )
