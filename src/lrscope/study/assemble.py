"""From trials to the study's result: a pure function, so that a page can be rebuilt from a stored study at any time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lrscope.estimate import Estimate
from lrscope.numbers import format_number
from lrscope.scaling.batch_law import BatchLaw, fit_batch_law
from lrscope.scaling.u_curve import UCurve
from lrscope.study.cell_fit import fit_cells, judge
from lrscope.study.compare import open_contest, settle_contest
from lrscope.study.plan import StudyPlan
from lrscope.study.recommend import FRESH_FROM, recommend
from lrscope.study.regimes import by_rate, regimes_of
from lrscope.study.result import Contest, Cost, CurvePoint, FittedPoint, Optimum, OptimumStatus, StudyResult
from lrscope.study.space import Cell, Observation, SearchSpace
from lrscope.study.trial import Trial, TrialResult

FITTED_POINTS = 61
BEYOND = 2.0  # how far beyond the rates tried a fitted curve is drawn at most, as a factor
AROUND = 32.0  # and how far from the optimum: further away the fit is not asked to follow the points


def assemble(
    plan: StudyPlan, trials: dict[Trial, TrialResult], engine: str, seconds: float, contest: Contest | None = None
) -> StudyResult:
    """What the trials so far show, by batch size and schedule.

    `contest` is what was chosen and trained before, if anything was: it is kept, whatever a fit would choose now.
    """
    fresh = plan.space.base_seed + FRESH_FROM
    searched = [result for result in trials.values() if result.trial.seed < fresh]
    verified = [result for result in trials.values() if result.trial.seed >= fresh]
    fits = fit_cells(plan.space, observe({result.trial: result for result in searched}, plan.metric))
    optima = tuple(_optimum(plan, cell, list(trials.values()), fits.get(cell)) for cell in sorted(plan.space.cells))
    contest = contest or open_contest(optima, plan.space.tolerance)
    recommended = None
    if contest is not None and verified:
        contest = settle_contest(plan.space, contest, plan.metric, trials)
        recommended = recommend(plan.space, contest, plan.defaults, plan.metric, verified)
    search_cost = sum(equivalents(plan, result) for result in searched)
    verification_cost = sum(equivalents(plan, result) for result in verified)
    return StudyResult(
        task=plan.task,
        metric=plan.metric,
        optimizer=plan.optimizer,
        train_examples=plan.train_examples,
        optima=optima,
        laws=_laws(optima, None if recommended is None else recommended.schedule),
        recommended=recommended,
        cost=Cost(
            runs=len(trials),
            full_run_equivalents=search_cost + verification_cost,
            search=search_cost,
            verification=verification_cost,
            examples=sum(result.examples for result in trials.values()),
            seconds=seconds,
        ),
        trials=tuple(trials.values()),
        engine=engine,
        notes=_notes(plan),
        contest=contest,
    )


def observe(results: dict[Trial, TrialResult], metric: str) -> list[Observation]:
    """What the search sees of the results."""
    return [
        Observation(
            trial=trial,
            loss=result.final_loss(metric),
            train_loss=result.final_loss("train_loss"),
            initial_loss=result.initial_loss(metric),
            initial_train_loss=result.initial_train_loss,
        )
        for trial, result in results.items()
    ]


def equivalents(plan: StudyPlan, result: TrialResult) -> float:
    """The trial in full-run equivalents: its examples over those of one full run at its batch size."""
    size = result.trial.batch_size
    return result.examples / (size * plan.space.total_steps[size])


def _optimum(plan: StudyPlan, cell: Cell, results: Sequence[TrialResult], fitted: UCurve | None) -> Optimum:
    every = [result for result in results if cell.has(result.trial)]
    mine = [result for result in every if result.trial.seed < plan.space.base_seed + FRESH_FROM]
    full = [result for result in every if plan.space.is_full(result.trial)]
    initial = [result.initial_loss(plan.metric) for result in full or mine]
    found = _Found() if fitted is None else _read_fit(fitted, plan.space)
    status, advice = found.status, found.advice
    if mine and not any(math.isfinite(result.final_loss(plan.metric)) for result in mine):
        lowest = format_number(min(result.trial.peak_lr for result in mine))
        status = "all_diverged"
        advice = f"Every run diverged, down to {lowest}: look at the loss and the data, or go lower with --lr."
    return Optimum(
        batch_size=cell.batch_size,
        schedule=cell.schedule,
        status=status,
        optimal_lr=found.optimal_lr,
        expected_loss=found.expected_loss,
        initial_loss=float(np.mean(initial)) if initial else math.nan,
        expected_regret=found.expected_regret,
        runs=len(mine),
        full_run_equivalents=sum(equivalents(plan, result) for result in mine),
        curve=_points(full, plan.metric),
        fitted=found.drawn,
        advice=advice,
    )


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What a fit says of a cell; as it stands, what is said before any full run has ended."""

    status: OptimumStatus = "inconclusive"
    optimal_lr: Estimate | None = None
    expected_loss: Estimate | None = None
    expected_regret: float | None = None
    drawn: tuple[FittedPoint, ...] = ()
    advice: str = "No full run has ended yet."


def _read_fit(fitted: UCurve, space: SearchSpace) -> _Found:
    choice = judge(fitted, space)
    drawn = () if choice.optimal_lr is None else _drawn(fitted, choice.optimal_lr, space)
    return _Found(
        status=choice.status,
        optimal_lr=choice.optimal_lr,
        expected_loss=choice.expected_loss,
        expected_regret=choice.expected_regret,
        drawn=drawn,
        advice=choice.advice,
    )


def _drawn(fitted: UCurve, optimum: Estimate, space: SearchSpace) -> tuple[FittedPoint, ...]:
    """The fitted curve over the rates tried and the optimum's interval, but not up a cliff."""
    if len(fitted.lr) < 2:
        return ()
    lowest, highest = fitted.lr.min() / BEYOND, fitted.lr.max() * BEYOND
    left = max(lowest, optimum.low or 0.0)
    right = min(highest, math.inf if optimum.high is None else optimum.high)
    failed = math.inf if fitted.failed_lr is None else fitted.failed_lr
    low = max(min(fitted.lr.min(), left), space.lr_low, optimum.value / AROUND)
    high = min(max(fitted.lr.max(), right), space.lr_high, optimum.value * AROUND, failed)
    rates = np.geomspace(low, high, FITTED_POINTS)
    ends = fitted.interval(rates)
    return tuple(
        FittedPoint(lr=lr, loss=loss, low=below, high=over)
        for lr, loss, below, over in zip(*(array.tolist() for array in (rates, fitted(rates), *ends)), strict=True)
    )


def _points(full: Sequence[TrialResult], metric: str) -> tuple[CurvePoint, ...]:
    """The mean final loss at each rate, and its regime among the cell's rates."""
    regimes = regimes_of(full)
    return tuple(
        CurvePoint(
            lr=lr,
            loss=float(np.mean([result.final_loss(metric) for result in same])),
            regime=regimes[lr],
            seeds=len(same),
        )
        for lr, same in by_rate(full).items()
    )


def _laws(optima: Sequence[Optimum], schedule: str | None) -> tuple[BatchLaw, ...]:
    """The laws across batch sizes of one schedule's optima: the recommended one's, else that of the lowest loss.

    None for fewer than two batch sizes.
    """
    best = min(optima, key=lambda o: math.inf if o.expected_loss is None else o.expected_loss.value)
    usable = [
        (optimum.batch_size, optimum.optimal_lr)
        for optimum in optima
        if optimum.schedule == (schedule or best.schedule) and optimum.optimal_lr is not None
    ]
    if len(usable) < 2:
        return ()
    return tuple(fit_batch_law([size for size, _ in usable], [lr for _, lr in usable]))


def _notes(plan: StudyPlan) -> tuple[str, ...]:
    dropped = {size: plan.train_examples % size for size in plan.space.total_steps}
    parts = [f"{count} at batch size {size}" for size, count in dropped.items() if count]
    if not parts:
        return ()
    return (
        f"An epoch leaves out the examples of its last, short batch, others each time: {', '.join(parts)} of "
        f"{plan.train_examples:,}.",
    )
