"""The loss of a schedule that nobody ran, from a few runs with other schedules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult, least_squares

from lrscope.errors import InvalidInput
from lrscope.estimate import Estimate
from lrscope.schedules.loss_law import LAWS, LawName, LossLaw, Units
from lrscope.schedules.rate_history import RateHistory, rate_history, warmup_end

FloatArray = NDArray[np.float64]

HUBER = 1e-3
"""δ of the Huber loss on the residuals of log L (Luo 2025)."""
QUANTILE = 1.2816
"""Half-width of a central 80 % interval in standard deviations."""
POOR_FIT = 0.02
"""Mean error of a fit, in nats, from which the runs are unlikely to be of one job."""
MOST_POINTS = 400
"""Points of a run that enter a fit; a longer log is thinned evenly."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ScheduledRun:
    """A finished run to learn from: `loss[i]` (nats, training or validation) and `lr[i]` at `step[i]`."""

    name: str
    step: FloatArray
    lr: FloatArray
    loss: FloatArray


def scheduled_run(name: str, step: ArrayLike, lr: ArrayLike, loss: ArrayLike) -> ScheduledRun:
    """A run from plain arrays; points whose rate or loss is not finite are left out, a long log is thinned.

    Raises:
        InvalidInput: fewer than 10 usable points after the warm-up, or arrays of different lengths.
    """
    steps, rates, losses = (np.asarray(row, dtype=np.float64) for row in (step, lr, loss))
    if not (steps.ndim == 1 and steps.shape == rates.shape == losses.shape):
        raise InvalidInput(f"The 'step', 'lr' and 'loss' of run '{name}' must be rows of one length.")
    usable = np.isfinite(rates) & np.isfinite(losses) & (losses > 0)
    steps, rates, losses = steps[usable], rates[usable], losses[usable]
    if steps.size - (warmup_end(rates) if steps.size > 1 else 0) < 10:
        raise InvalidInput(f"Run '{name}' must hold at least 10 points with a rate and a loss after its warm-up.")
    return ScheduledRun(name=name, step=steps, lr=rates, loss=losses)


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedLaw:
    """A loss law fitted to runs.

    Arguments:
        parameters: the constants as the paper writes them.
        fit_error: mean |L − fitted L| over the runs. transfer_error: the law's largest error on the last third of a
            run that it was not fitted to, each run left out in turn; None with fewer than three runs.
        longest_area: the longest sum of rates among the runs, warm-up included.
        runs: their names.
    """

    law: LossLaw
    theta: FloatArray
    units: Units
    parameters: dict[str, float]
    fit_error: float
    transfer_error: float | None
    longest_area: float
    runs: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())

    def predict(self, step: ArrayLike, lr: ArrayLike, at: ArrayLike | None = None) -> LossForecast:
        """The loss under a schedule.

        Arguments:
            step, lr: (points,) the schedule, its warm-up included, or from the end of its warm-up on.
            at: the steps to give the loss at; without it, all points from the end of the warm-up on.
        """
        history = rate_history(step, lr, at)
        loss = _evaluate(self.law, self.theta, history, self.units)[0]
        reach = np.maximum(1.0, (history.area + history.warmup_area) / self.longest_area)
        width = QUANTILE * self._spread() * reach
        return LossForecast(step=history.step, loss=loss, low=loss - width, high=loss + width)

    def _spread(self) -> float:
        """The standard deviation of a forecast, as far as the runs show it."""
        if self.transfer_error is None:
            return 4.0 * self.fit_error
        return max(self.transfer_error, 1.25 * self.fit_error)


@dataclass(frozen=True, kw_only=True, eq=False)
class LossForecast:
    """A forecast curve: `loss`, with `low` and `high` ends of a central 80 % interval, at `step`; all (points,)."""

    step: FloatArray
    loss: FloatArray
    low: FloatArray
    high: FloatArray

    @property
    def final(self) -> Estimate:
        """The loss at the last step."""
        return Estimate(self.loss[-1], self.low[-1], self.high[-1])


def fit_loss_law(runs: Sequence[ScheduledRun], *, law: LawName = "multi_power", random_seed: int = 0) -> FittedLaw:
    """Fit a loss law to runs of one job that differ in their schedule.

    The Huber loss (δ = 1e-3) of the residuals of log L is minimised with analytic derivatives from several starts. The
    runs should be of one model, data and batch size; at least one must lower its rate. A constant run, a slow decay
    and a sudden drop together determine the law well.

    Raises:
        InvalidInput: no run, an unknown law, or no run that lowers its learning rate.
    Source: Luo 2025, arXiv 2503.12811; Tissue 2024, arXiv 2408.11029.
    """
    if law not in LAWS:
        raise InvalidInput(f"The 'law' of a forecast must be one of {', '.join(LAWS)}. Got {law!r}.")
    if not runs:
        raise InvalidInput("A forecast needs at least one run with its learning rate and loss.")
    histories, losses = _prepared(runs)
    if not any(
        np.sum(history.drop) > 0.05 * float(np.max(run.lr)) for run, history in zip(runs, histories, strict=True)
    ):
        raise InvalidInput(
            "None of the runs lowers its learning rate by 5 %, so what a decay does cannot be learnt from them: "
            "add a run whose rate decays or drops."
        )
    units = Units(
        peak=max(float(run.lr.max()) for run in runs),
        area=max(float(history.area[-1]) + history.warmup_area for history in histories),
    )
    theta = _fit(LAWS[law], histories, losses, units, random_seed)
    errors = [_error(LAWS[law], theta, history, loss, units) for history, loss in zip(histories, losses, strict=True)]
    fit_error = float(np.mean([np.mean(np.abs(error)) for error in errors]))
    return FittedLaw(
        law=LAWS[law],
        theta=theta,
        units=units,
        parameters=dict(LAWS[law].published(theta, units)),
        fit_error=fit_error,
        transfer_error=_transfer_error(LAWS[law], theta, histories, losses, units),
        longest_area=units.area,
        runs=tuple(run.name for run in runs),
        notes=_notes(runs, fit_error),
    )


def _notes(runs: Sequence[ScheduledRun], fit_error: float) -> tuple[str, ...]:
    notes = []
    if fit_error > POOR_FIT:
        notes.append(
            f"The law misses these runs by {fit_error:.3f} on average: are they of one model, data and batch size?"
        )
    if len(runs) < 3:
        notes.append(
            f"Fitted on {len(runs)} run{'s' if len(runs) > 1 else ''}: the interval is a guess; three runs "
            "(constant, slow decay, sudden drop) allow it to be measured."
        )
    late = [run.name for run in runs if run.step[0] > 0]
    if late:
        notes.append(
            f"The log of {', '.join(late)} begins after step 0: a linear warm-up up to its first point is assumed."
        )
    return tuple(notes)


def _prepared(runs: Sequence[ScheduledRun]) -> tuple[list[RateHistory], list[FloatArray]]:
    """The history and the loss of each run at the points that enter the fit."""
    histories, losses = [], []
    for run in runs:
        first = warmup_end(run.lr)
        count = run.step.size - first
        index = first + np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(int))
        histories.append(rate_history(run.step, run.lr, run.step[index]))
        losses.append(run.loss[index])
    return histories, losses


def _evaluate(law: LossLaw, theta: FloatArray, history: RateHistory, units: Units) -> tuple[FloatArray, FloatArray]:
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return law.value(theta, history, units)


def _error(law: LossLaw, theta: FloatArray, history: RateHistory, loss: FloatArray, units: Units) -> FloatArray:
    return np.asarray(_evaluate(law, theta, history, units)[0] - loss, dtype=np.float64)


def _fit(
    law: LossLaw, histories: Sequence[RateHistory], losses: Sequence[FloatArray], units: Units, random_seed: int
) -> FloatArray:
    """The parameters of least robust error, from the law's starts and one random start near each."""
    lowest = min(float(loss.min()) for loss in losses)
    scale = max(float(loss.max()) for loss in losses) - lowest
    generator = np.random.default_rng(random_seed)
    best: OptimizeResult | None = None
    for start in law.starts:
        theta = np.array([max(lowest - 0.5 * scale, 0.8 * lowest), *start])
        theta[[1, 4]] += np.log(max(scale, 1e-9))
        for jitter in (0.0, 0.5):
            found = _descend(
                law, theta + jitter * generator.normal(size=theta.size) * _movable(law), histories, losses, units
            )
            if best is None or found.cost < best.cost * (1 - 1e-9):
                best = found
    assert best is not None
    return np.asarray(best.x, dtype=np.float64)


def _movable(law: LossLaw) -> FloatArray:
    """1 for the parameters that a random start may move: not the floor, nor those that are pulled hard."""
    movable = (np.array(law.weight) < 10.0).astype(np.float64)
    movable[0] = 0.0
    return movable


def _descend(
    law: LossLaw, start: FloatArray, histories: Sequence[RateHistory], losses: Sequence[FloatArray], units: Units
) -> OptimizeResult:
    """One descent. Residuals: log of fitted over observed loss at every point, then one per pulled parameter."""
    centre, weight = np.array(law.centre), HUBER * np.array(law.weight)
    pulled = weight > 0

    def parts(theta: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        return [_evaluate(law, theta, history, units) for history in histories]

    def residuals(theta: FloatArray) -> FloatArray:
        rows = [np.log(np.maximum(value, 1e-3) / loss) for (value, _), loss in zip(parts(theta), losses, strict=True)]
        everything = np.concatenate([*rows, (weight * (theta - centre))[pulled]])
        return np.asarray(np.nan_to_num(everything, nan=1e3, posinf=1e3, neginf=-1e3))

    def jacobian(theta: FloatArray) -> FloatArray:
        rows = [by / np.maximum(value, 1e-3)[:, None] for value, by in parts(theta)]
        slopes = np.concatenate([*rows, np.diag(weight)[pulled]])
        return np.asarray(np.nan_to_num(slopes, posinf=1e6, neginf=-1e6))

    return least_squares(
        residuals, start, jacobian, loss="huber", f_scale=HUBER, x_scale="jac", max_nfev=200, xtol=1e-10, ftol=1e-10
    )


def _transfer_error(
    law: LossLaw, theta: FloatArray, histories: Sequence[RateHistory], losses: Sequence[FloatArray], units: Units
) -> float | None:
    """The largest error on a run left out, the others refitted from the full fit; None with under three runs.

    Root mean square over the run's last third, where schedules have parted. Of the spreads tried on runs of three
    model sizes, this one's 80 % intervals held (benchmarks/forecast.py).
    """
    if len(histories) < 3:
        return None
    squares = []
    for out in range(len(histories)):
        rest = [index for index in range(len(histories)) if index != out]
        if not any(histories[index].drop.size for index in rest):
            continue
        fitted = _descend(law, theta, [histories[i] for i in rest], [losses[i] for i in rest], units).x
        error = _error(law, fitted, histories[out], losses[out], units)
        squares.append(float(np.mean(np.square(error[-max(1, error.size // 3) :]))))
    return float(np.sqrt(max(squares))) if squares else None
