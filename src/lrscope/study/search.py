"""Which trials to run next: a pure function of the space and of what the trials so far gave.

Short runs find the region of the first cell. A short run is the whole schedule compressed into T/16 updates: it is
annealed too, so its best rate lies near the full run's (a run cut short would not be), but above it where the full run
has the time to become unstable. From there full runs walk downhill an octave at a time until the minimum is enclosed.
Every other batch size starts where the finished ones point, so it needs no short runs; it waits for its neighbour.
The fitted curve says what its choice is expected to lose; runs are added until that is below the tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lrscope.scaling.u_curve import UCurve, fit_u_curve
from lrscope.study.trial import Trial

COMPRESSION = 16
SHORTEST_STEPS = 32
FIRST_LOOK = (-13, -10, -7, -4, -1)  # log₂ η of the first short runs where nothing is known
SHORT_EXCESS = 1.0  # octaves that the best short run is expected to lie above the best full run
PRIOR_EXPONENT = 0.5  # of the optimum's power law in the batch size, before two optima are known
PRIOR_OCTAVES = 2.0  # that this exponent counts as, in the fit of the power law: a spread of batch sizes
GRID_PER_OCTAVE = 4
DECIMALS = 9  # of an octave, that tell one rate from another
LEARNED_NOTHING = 0.05  # a run that made less than this share of the best run's progress
MAX_FULL_RATES = 6


@dataclass(frozen=True, kw_only=True, order=True)
class Cell:
    """One batch size under one schedule: what has one optimum."""

    batch_size: int
    schedule: str


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """What is searched, and how thoroughly.

    Arguments:
        cells: batch sizes and schedules. total_steps: batch size -> updates of a full run.
        lr_low, lr_high: no rate outside is tried. tolerance: the expected regret that is good enough.
        seeds: at most this many seeds a point, from `base_seed` on. method: "adaptive" or "grid".
    """

    cells: tuple[Cell, ...]
    total_steps: dict[int, int]
    lr_low: float = 1e-6
    lr_high: float = 10.0
    tolerance: float = 0.01
    seeds: int = 3
    base_seed: int = 0
    method: Literal["adaptive", "grid"] = "adaptive"


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What the search sees of a finished trial: its final loss (inf = diverged) and the loss before the first update.

    `train_loss` is the final training loss, which is what short runs can tell about.
    """

    trial: Trial
    loss: float
    train_loss: float
    initial_loss: float


def next_trials(space: SearchSpace, observations: Sequence[Observation]) -> list[Trial]:
    """The next round of trials; empty when the search is finished."""
    if space.method == "grid":
        return [] if observations else grid_trials(space)
    leader = _leader(space)
    round_: list[Trial] = []
    waiting: set[Cell] = set()
    optima: dict[Cell, float] = {}
    for cell in sorted(space.cells, key=lambda cell: (cell.schedule != leader.schedule, _distance(cell, leader))):
        before = _predecessor(cell, leader, space)
        if before in waiting:
            waiting.add(cell)
            continue
        view = _View(space, cell, observations, None if cell == leader else _predict(cell, before, optima))
        asked = view.next_trials()
        if asked:
            waiting.add(cell)
            round_ += asked
        elif view.optimum is not None:
            optima[cell] = view.optimum
    return round_


def _distance(cell: Cell, leader: Cell) -> float:
    return abs(math.log2(cell.batch_size / leader.batch_size))


def _predecessor(cell: Cell, leader: Cell, space: SearchSpace) -> Cell | None:
    """The cell that must be finished first: the next batch size towards the leader, or the first schedule's cell."""
    if cell == leader:
        return None
    if cell.schedule != leader.schedule:
        return Cell(batch_size=cell.batch_size, schedule=leader.schedule)
    nearer = [
        other
        for other in space.cells
        if other.schedule == leader.schedule
        and (other.batch_size < cell.batch_size) == (leader.batch_size < cell.batch_size)
        and _distance(other, leader) < _distance(cell, leader)
    ]
    return max([*nearer, leader], key=lambda other: _distance(other, leader))


def _predict(cell: Cell, before: Cell | None, optima: dict[Cell, float]) -> float | None:
    """log₂ η* of a cell by a power law through the optima found so far, its exponent drawn towards the square root."""
    known = {
        other.batch_size: octave
        for other, octave in optima.items()
        if before is not None and other.schedule == before.schedule
    }
    if before is None or before not in optima:
        return float(np.mean(list(optima.values()))) if optima else None
    x = np.log2(np.array(list(known)) / before.batch_size)
    y = np.array(list(known.values())) - optima[before]
    weight = PRIOR_OCTAVES**2
    exponent = (float(x @ y) + PRIOR_EXPONENT * weight) / (float(x @ x) + weight)
    exponent = min(max(exponent, -0.5), 1.0)
    return optima[before] + exponent * math.log2(cell.batch_size / before.batch_size)


def fit_cell(cell: Cell, space: SearchSpace, observations: Sequence[Observation]) -> UCurve | None:
    """The loss against the rate fitted to a cell's full runs; None where there is none."""
    full = [seen for seen in observations if _is_of(seen.trial, cell) and _is_full(seen.trial, space)]
    if not full:
        return None
    lr = np.array([seen.trial.peak_lr for seen in full])
    loss = np.array([seen.loss for seen in full])
    initial = float(np.mean([seen.initial_loss for seen in full]))
    # A run that learned nothing at a rate above the best is over the cliff as much as one that is not finite.
    over = (lr > lr[np.argmin(loss)]) & (loss > initial - LEARNED_NOTHING * abs(initial - loss.min()))
    seeds = [seen.trial.seed for seen in full]
    return fit_u_curve(lr, np.where(over, math.inf, loss), initial_loss=initial, seed=seeds)


def choose_lr(fitted: UCurve) -> float | None:
    """The rate of least expected regret under the fitted curves, within the interval of the optimum.

    The curve is steeper to the right, so this lies a little left of the most likely optimum where that is uncertain.
    """
    best = fitted.optimal_lr
    if best is None or fitted.posterior is None:
        return None if best is None else best.value
    tried = fitted.lr
    low = tried.min() if best.low is None else max(best.low, tried.min())
    high = tried.max() if best.high is None else min(best.high, tried.max())
    if fitted.edge is not None or not low < high:
        return best.value
    rates = np.geomspace(low, high, 41)
    return float(rates[np.argmin(fitted.expected_regret(rates))])


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


def full_trial(space: SearchSpace, cell: Cell, lr: float, seed: int) -> Trial:
    """A full run of a cell."""
    steps = space.total_steps[cell.batch_size]
    return Trial(
        batch_size=cell.batch_size, peak_lr=lr, schedule=cell.schedule, seed=seed, total_steps=steps, stop_at=steps
    )


def _leader(space: SearchSpace) -> Cell:
    """The cell searched first, whose findings the others start from: the middle batch size, the first schedule."""
    sizes = sorted({cell.batch_size for cell in space.cells})
    return Cell(batch_size=sizes[len(sizes) // 2], schedule=space.cells[0].schedule)


def _is_of(trial: Trial, cell: Cell) -> bool:
    return trial.batch_size == cell.batch_size and trial.schedule == cell.schedule


def _is_full(trial: Trial, space: SearchSpace) -> bool:
    return trial.stop_at == trial.total_steps == space.total_steps[trial.batch_size]


def snap(octave: float) -> float:
    """log₂ η on the grid of quarter octaves, so that runs of different rounds meet at the same rates."""
    return round(octave * GRID_PER_OCTAVE) / GRID_PER_OCTAVE


def octave_of(trial: Trial) -> float:
    """log₂ of a trial's peak rate, without the rounding of a power and a logarithm."""
    return round(math.log2(trial.peak_lr), DECIMALS)


class _View:
    """One cell, as the observations so far show it. Octaves are log₂ of the learning rate.

    `predicted` is where the finished cells put its optimum; None for the first cell, which looks for itself.
    """

    def __init__(
        self, space: SearchSpace, cell: Cell, observations: Sequence[Observation], predicted: float | None
    ) -> None:
        self.space = space
        self.cell = cell
        self.predicted = predicted
        self.low, self.high = math.log2(space.lr_low), math.log2(space.lr_high)
        mine = [seen for seen in observations if _is_of(seen.trial, cell)]
        self.full = [seen for seen in mine if _is_full(seen.trial, space)]
        self.short = {octave_of(seen.trial): seen.train_loss for seen in mine if not _is_full(seen.trial, space)}
        self.full_steps = space.total_steps[cell.batch_size]
        self.short_steps = min(self.full_steps, max(SHORTEST_STEPS, math.ceil(self.full_steps / COMPRESSION)))
        self.losses = self._mean_losses()
        finite = [octave for octave, loss in self.losses.items() if math.isfinite(loss)]
        self.best = min(finite, key=lambda octave: (self.losses[octave], octave)) if finite else None

    def _mean_losses(self) -> dict[float, float]:
        """Octave -> mean loss over seeds of the full runs; inf where any diverged."""
        grouped: dict[float, list[float]] = {}
        for seen in self.full:
            grouped.setdefault(octave_of(seen.trial), []).append(seen.loss)
        return {octave: float(np.mean(losses)) for octave, losses in grouped.items()}

    @property
    def optimum(self) -> float | None:
        """log₂ of the chosen rate; None where every run diverged."""
        fitted = fit_cell(self.cell, self.space, self.full)
        choice = None if fitted is None else choose_lr(fitted)
        return None if choice is None else math.log2(choice)

    def next_trials(self) -> list[Trial]:
        """The cell's next round."""
        if self.full:
            return self._next_full()
        start = self.predicted
        if start is None and self.full_steps > SHORTEST_STEPS:
            octaves = self._next_short()
            if octaves:
                return [self._trial(octave, self.short_steps, 0) for octave in octaves]
            best = self._short_best()
            if best is None:
                return []  # every short run diverged, down to the lowest rate
            start = best - SHORT_EXCESS
        if start is None:
            return self._full_runs(FIRST_LOOK)
        start = min(max(start, self.low + 0.5), self.high - 0.5)
        return self._full_runs([start - 0.5, start + 0.5])

    def _short_best(self) -> float | None:
        finite = {octave: loss for octave, loss in self.short.items() if math.isfinite(loss)}
        return min(finite, key=lambda octave: finite[octave]) if finite else None

    def _next_short(self) -> list[float]:
        """Short runs until the best has a neighbour an octave away on either side."""
        if not self.short:
            return self._allowed(FIRST_LOOK)
        best = self._short_best()
        if best is None:
            wanted = [min(self.short) - 3, min(self.short) - 6]
        else:
            wanted = [best - 1, best + 1]
            if best == min(self.short):
                wanted.append(best - 3)
            if best == max(self.short):
                wanted.append(best + 3)
        return [octave for octave in self._allowed(wanted) if octave not in self.short]

    def _next_full(self) -> list[Trial]:
        """Downhill an octave at a time until the best is enclosed, then whatever the fit still needs."""
        if len(self.losses) >= MAX_FULL_RATES:
            return self._another_seed() if self._regret() > self.space.tolerance else []
        if self.best is None:
            return self._full_runs([min(self.losses) - 2])
        if self._is_settled():
            return []
        walk = []
        if self.best == min(self.losses):
            walk.append(self.best - 1)
        if self.best == max(self.losses):
            walk.append(self.best + 1)
        return self._full_runs(walk) or self._refine()

    def _is_settled(self) -> bool:
        """Whether three rates or more show an optimum whose choice is expected to lose little enough."""
        fitted = fit_cell(self.cell, self.space, self.full)
        rates = sum(map(math.isfinite, self.losses.values()))
        return fitted is not None and fitted.status == "found" and rates >= 3 and self._regret() <= self.space.tolerance

    def _refine(self) -> list[Trial]:
        """Enclosed: stop if the choice is expected to lose little enough, else one more rate, or one more seed."""
        optimum = self.optimum
        if optimum is None or self._regret() <= self.space.tolerance:
            return []
        return self._full_runs([optimum]) or self._another_seed()

    def _regret(self) -> float:
        """The expected regret of the choice; infinite where nothing could be fitted."""
        fitted, optimum = fit_cell(self.cell, self.space, self.full), self.optimum
        if fitted is None or optimum is None:
            return math.inf
        regret = float(fitted.expected_regret(2.0**optimum))
        return regret if math.isfinite(regret) else math.inf

    def _another_seed(self) -> list[Trial]:
        """The next seed at the best rate and its better neighbour: the pair that decides."""
        near = [octave for octave in self.losses if octave != self.best and abs(octave - (self.best or 0.0)) <= 1]
        pair = [octave for octave in (self.best, *sorted(near, key=lambda octave: self.losses[octave])[:1]) if octave]
        done = {(octave_of(seen.trial), seen.trial.seed) for seen in self.full}
        for number in range(1, self.space.seeds):
            missing = [octave for octave in pair if (octave, self.space.base_seed + number) not in done]
            if missing:
                return [self._trial(octave, self.full_steps, number) for octave in missing]
        return []

    def _full_runs(self, octaves: Sequence[float]) -> list[Trial]:
        """Full runs on the first seed at those octaves that are new."""
        return [
            self._trial(octave, self.full_steps, 0) for octave in self._allowed(octaves) if octave not in self.losses
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
