"""The loss of a schedule that nobody ran, from a few runs with other schedules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrscope.errors import InvalidInput
from lrscope.estimate import HALF_WIDTH, Estimate
from lrscope.schedules.law_fit import LawFit, evaluate, fit_law, prepared
from lrscope.schedules.law_fit import ScheduledRun as ScheduledRun
from lrscope.schedules.law_fit import scheduled_run as scheduled_run
from lrscope.schedules.loss_law import LAWS, LawName, Units
from lrscope.schedules.rate_history import rate_history

FloatArray = NDArray[np.float64]

POOR_FIT = 0.02
"""Mean error of a fit, in nats, from which the runs are unlikely to be of one job."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedLaw:
    """One loss law fitted to runs, or the laws together, each weighted by the inverse square of its fit error.

    Arguments:
        fits: the laws' fits. weights: one each, adding up to 1.
        fit_error: mean |L − fitted L| over the runs. transfer_error: the largest error on the last third of a
            run that it was not fitted to, each run left out in turn; None with fewer than three runs.
        longest_area: the longest sum of rates among the runs, warm-up included.
        runs: their names. notes: what to know before it is trusted.
    """

    fits: tuple[LawFit, ...]
    weights: tuple[float, ...]
    units: Units
    fit_error: float
    transfer_error: float | None
    longest_area: float
    runs: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def name(self) -> LawName | Literal["both"]:
        """The law's name, or "both"."""
        return self.fits[0].law.name if len(self.fits) == 1 else "both"

    @property
    def parameters(self) -> dict[str, dict[str, float]]:
        """For each law, its constants as its paper writes them."""
        return {fit.law.name: dict(fit.law.published(fit.theta, self.units)) for fit in self.fits}

    def predict(self, step: ArrayLike, lr: ArrayLike, at: ArrayLike | None = None) -> LossForecast:
        """The loss under a schedule.

        Arguments:
            step, lr: (points,) the schedule, its warm-up included, or from the end of its warm-up on.
            at: the steps to give the loss at; without it, all points from the end of the warm-up on.
        """
        history = rate_history(step, lr, at)
        each = np.stack([evaluate(fit.law, fit.theta, history, self.units)[0] for fit in self.fits])  # (laws, points)
        loss = np.asarray(self.weights) @ each
        reach = np.maximum(1.0, (history.area + history.warmup_area) / self.longest_area)
        apart = 0.5 * (each.max(axis=0) - each.min(axis=0))  # where the laws part, neither is to be trusted
        width = HALF_WIDTH * np.hypot(self._spread() * reach, apart)
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


def fit_loss_law(
    runs: Sequence[ScheduledRun], *, law: LawName | Literal["both"] = "both", random_seed: int = 0
) -> FittedLaw:
    """Fit a loss law, or both and their weighted mean, to runs of one job that differ in their schedule.

    The Huber loss (δ = 1e-3) of the residuals of log L is minimised with analytic derivatives from several starts. The
    runs should be of one model, data and batch size; at least one must lower its rate. A constant run, a slow decay
    and a sudden drop together determine the laws well. The mean of both is the most robust over what the runs happen
    to be (benchmarks/forecast.py).

    Raises:
        InvalidInput: no run, an unknown law, or no run that lowers its learning rate.
    Source: Luo 2025, arXiv 2503.12811; Tissue 2024, arXiv 2408.11029.
    """
    if law != "both" and law not in LAWS:
        raise InvalidInput(f"The 'law' of a forecast must be one of both, {', '.join(LAWS)}. Got {law!r}.")
    if not runs:
        raise InvalidInput("A forecast needs at least one run with its learning rate and loss.")
    histories, losses = prepared(runs)
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
    chosen = LAWS.values() if law == "both" else [LAWS[law]]
    fits = tuple(fit_law(one, histories, losses, units, random_seed) for one in chosen)
    trust = np.array([1.0 / max(fit.fit_error, 1e-9) ** 2 for fit in fits])
    weights = tuple(float(weight) for weight in trust / trust.sum())
    fit_error = float(np.dot(weights, [fit.fit_error for fit in fits]))
    return FittedLaw(
        fits=fits,
        weights=weights,
        units=units,
        fit_error=fit_error,
        transfer_error=_transfer_error(fits, weights),
        longest_area=units.area,
        runs=tuple(run.name for run in runs),
        notes=_notes(runs, fit_error),
    )


def _transfer_error(fits: Sequence[LawFit], weights: Sequence[float]) -> float | None:
    """The largest error on a run left out; None with under three runs.

    Root mean square over the run's last third, where schedules have parted. Of the spreads tried on runs of three
    model sizes, this one's 80 % intervals held (benchmarks/forecast.py).
    """
    squares = []
    for errors in zip(*(fit.left_out for fit in fits), strict=True):
        if errors[0].size:
            last = [np.mean(np.square(error[-max(1, error.size // 3) :])) for error in errors]
            squares.append(float(np.dot(weights, last)))
    return float(np.sqrt(max(squares))) if squares else None


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
