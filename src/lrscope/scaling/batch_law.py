"""Laws of the optimal learning rate against the batch size, fitted to optima with their uncertainties and averaged.

The evidence of each law is its weight (`law_fit` has the model): two batch sizes leave the laws undecided, and say so
by the width of the prediction. With covariates (model size, tokens, run length) groups of optima help each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lrscope.errors import InvalidInput
from lrscope.estimate import HALF_WIDTH, Estimate
from lrscope.scaling.law_fit import LawPosterior, Optima, fit_law
from lrscope.scaling.laws import LAWS, Floats
from lrscope.scaling.trend import HABITS, Bottoms, Habits, expect_ahead
from lrscope.scaling.u_curve import UCurve

OPEN_END_SD = 1.0  # octaves: what is known of an optimum whose interval is open on one side
LEVELS = (0.1, 0.5, 0.9)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Place:
    """Where a law was fitted, or is asked: its posterior, the covariates (log₂, centred) and the group's number."""

    posterior: LawPosterior
    covariates: Floats
    group: float

    def samples(self, batch_size: Floats) -> Floats:
        return self.posterior.samples(np.log2(batch_size), self.covariates, self.group)


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchLaw:
    """One law with its parameters and the `weight` (share of the evidence) that it has among all laws.

    `deviation` is the root mean square distance of the optima from it, in octaves. `predictions` are there for showing:
    pairs of batch size and optimum as somebody asked for them.
    """

    name: str
    formula: str
    parameters: dict[str, Estimate]
    weight: float
    deviation: float = math.nan
    predictions: tuple[tuple[float, Estimate], ...] = ()
    place: _Place | None = field(default=None, repr=False)

    def log2_samples(self, batch_size: ArrayLike) -> Floats:
        """Equally likely log₂ η* at each batch size (m,), departures from the law included: (2000, m)."""
        if self.place is None:
            raise InvalidInput(f"The law {self.name!r} was read from a file, not fitted: it cannot predict.")
        return self.place.samples(np.atleast_1d(np.asarray(batch_size, dtype=np.float64)))

    def predict(self, batch_size: float) -> Estimate:
        """The optimal learning rate at `batch_size` by this law alone, with its 80 % interval."""
        return _estimate(_checked_batch(batch_size), [self])

    def to_json(self) -> dict[str, Any]:
        """The law as JSON has it: name, formula, parameters, weight, predictions."""
        return {
            "name": self.name,
            "formula": self.formula,
            "parameters": {name: value.to_json() for name, value in self.parameters.items()},
            "weight": self.weight,
            "predictions": [
                {"batch_size": batch_size, "optimal_lr": value.to_json()} for batch_size, value in self.predictions
            ],
        }


def fit_batch_law(
    batch_size: ArrayLike,
    optimal_lr: Sequence[Estimate],
    *,
    curves: Sequence[UCurve] = (),
    habits: Habits = HABITS,
) -> tuple[BatchLaw, ...]:
    """Fit constant, linear, square root, power, both saturating laws and surge to optima; best first.

    Arguments:
        batch_size: batch sizes, (n,), positive; one optimum each.
        optimal_lr: the optimum at each batch size with its 80 % interval; an open end counts as little known.
        curves: the curves that the optima are of, (n,), where they are at hand: what a larger batch does to the loss at
            the optimum tells how far the growth goes on (`trend`).
        habits: how growth goes on, on grids whose optima are known.

    Returns:
        The seven laws by falling weight (the weights add up to one); parameters are η₁ (at B = 1) or η_max, and the
        exponent p or noise batch size B_n. One batch size leaves them all at equal weight.

    Raises:
        InvalidInput: no optimum, lengths that differ, a batch size or rate that is not positive.

    >>> optima = [Estimate(lr, lr / 1.1, lr * 1.1) for lr in (0.01, 0.02, 0.04, 0.08, 0.16)]
    >>> fit_batch_law([16, 32, 64, 128, 256], optima)[0].name
    'linear'
    """
    batch, optimum, deviation = _checked_optima(batch_size, optimal_lr)
    nothing = np.empty((batch.size, 0))
    optima = Optima(batch=batch, covariates=nothing, group=np.zeros(batch.size), optimum=optimum, deviation=deviation)
    ahead = expect_ahead(_bottoms(batch, optimum, deviation, curves), habits) if curves else None
    return _bound([fit_law(shape, optima, ahead) for shape in LAWS], np.empty(0), 0.0, ())


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupLaws:
    """The seven laws fitted to all groups at once, covariates entering η and B_n as powers; `at` gives a group's."""

    names: tuple[str, ...]
    centre: Floats
    groups: Floats  # (groups, covariates), log₂ and centred
    posteriors: tuple[LawPosterior, ...]

    def at(self, covariates: Sequence[float]) -> tuple[BatchLaw, ...]:
        """The laws at these covariates, best first: of a group that was fitted, or of one that nobody ran."""
        values = np.asarray(covariates, dtype=np.float64)
        if values.shape != self.centre.shape or not np.all(np.isfinite(values) & (values > 0)):
            raise InvalidInput(
                f"Covariates must be one positive number each of {', '.join(self.names)}. Got {covariates}."
            )
        place = np.log2(values) - self.centre
        known = np.nonzero(np.all(np.abs(self.groups - place) < 1e-6, axis=1))[0]
        return _bound(self.posteriors, place, float(known[0]) if known.size else -1.0, self.names)


def fit_group_laws(
    batch_size: ArrayLike, optimal_lr: Sequence[Estimate], covariates: ArrayLike, names: Sequence[str]
) -> GroupLaws:
    """Fit the seven laws to the optima of several groups together.

    Arguments:
        batch_size: (n,), positive.
        optimal_lr: one optimum per row.
        covariates: (n, c), positive, what the groups differ by; rows with equal covariates are one group.
        names: of the covariates, (c,).

    Raises:
        InvalidInput: as `fit_batch_law`, and covariates that are not positive or of another shape.
    """
    batch, optimum, deviation = _checked_optima(batch_size, optimal_lr)
    values = np.asarray(covariates, dtype=np.float64)
    if values.shape != (batch.size, len(names)) or not names:
        raise InvalidInput(
            f"Covariates must be {batch.size} rows of {len(names)} columns, at least one. Got {values.shape}."
        )
    if not np.all(np.isfinite(values) & (values > 0)):
        raise InvalidInput(f"Covariates ({', '.join(names)}) must be positive and finite.")
    logs = np.log2(values)
    groups, group = np.unique(np.round(logs, 9), axis=0, return_inverse=True)
    centre = groups.mean(axis=0)
    optima = Optima(
        batch=batch,
        covariates=logs - centre,
        group=group.ravel().astype(np.float64),
        optimum=optimum,
        deviation=deviation,
    )
    posteriors = tuple(fit_law(shape, optima) for shape in LAWS)
    return GroupLaws(names=tuple(names), centre=centre, groups=groups - centre, posteriors=posteriors)


def _bound(
    posteriors: Sequence[LawPosterior], covariates: Floats, group: float, names: Sequence[str]
) -> tuple[BatchLaw, ...]:
    """The laws at one group's covariates, by falling weight."""
    evidence = np.array([posterior.log_evidence for posterior in posteriors])
    weights = np.exp(evidence - evidence.max())
    weights /= weights.sum()
    laws = [
        BatchLaw(
            name=posterior.shape.name,
            formula=posterior.shape.formula,
            parameters=_parameters(posterior.ranked or posterior, covariates, group, names),
            weight=float(weight),
            deviation=_deviation(posterior.ranked or posterior, covariates, group),
            place=_Place(posterior=posterior, covariates=covariates, group=group),
        )
        for weight, posterior in zip(weights, posteriors, strict=True)
    ]
    return tuple(sorted(laws, key=lambda law: -law.weight))


def predict_optimal_lr(laws: Sequence[BatchLaw], batch_size: float) -> Estimate:
    """The optimal learning rate at `batch_size`, averaged over the laws by their weights, with its 80 % interval.

    >>> optima = [Estimate(lr, lr / 1.1, lr * 1.1) for lr in (0.01, 0.02, 0.04, 0.08, 0.16)]
    >>> 0.04 in predict_optimal_lr(fit_batch_law([16, 32, 64, 128, 256], optima), 64)
    True
    """
    if not laws:
        raise InvalidInput("predict_optimal_lr needs at least one law. Got none.")
    return _estimate(_checked_batch(batch_size), laws)


def weighted_quantiles(values: Floats, weights: Floats, levels: ArrayLike) -> Floats:
    """Quantiles of weighted samples: (len(levels),)."""
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    middle = (cumulative - 0.5 * weights[order]) / cumulative[-1]
    return np.interp(np.asarray(levels, dtype=np.float64), middle, values[order])


def _estimate(batch_size: float, laws: Sequence[BatchLaw]) -> Estimate:
    return predict_many(laws, [batch_size])[0]


def predict_many(laws: Sequence[BatchLaw], batch_size: ArrayLike) -> tuple[Estimate, ...]:
    """`predict_optimal_lr` at several batch sizes at once."""
    batches = np.atleast_1d(np.asarray(batch_size, dtype=np.float64))
    used = [law for law in laws if law.weight >= 1e-3] or list(laws[:1])
    samples = np.concatenate([law.log2_samples(batches) for law in used])
    weights = np.repeat([max(law.weight, 1e-300) for law in used], len(samples) // len(used))
    estimates = []
    for column in samples.T:
        low, middle, high = np.exp2(weighted_quantiles(column, weights, LEVELS))
        estimates.append(Estimate(middle, low, high))
    return tuple(estimates)


def _checked_batch(batch_size: float) -> float:
    if not (math.isfinite(batch_size) and batch_size > 0):
        raise InvalidInput(f"A batch size must be positive and finite. Got {batch_size}.")
    return float(batch_size)


def _checked_optima(batch_size: ArrayLike, optimal_lr: Sequence[Estimate]) -> tuple[Floats, Floats, Floats]:
    """log₂ of batch sizes and optima, and the deviation of each optimum in octaves."""
    batches = np.asarray(batch_size, dtype=np.float64).ravel()
    if batches.size == 0 or batches.size != len(optimal_lr):
        raise InvalidInput(
            f"fit_batch_law needs one optimum per batch size, at least one. Got {batches.size} and {len(optimal_lr)}."
        )
    for batch in batches:
        _checked_batch(batch)
    values, deviations = [], []
    for optimum in optimal_lr:
        if not isinstance(optimum, Estimate):
            raise InvalidInput(
                f"Each optimal_lr of fit_batch_law must be an Estimate, a value with its interval. Got {optimum!r}."
            )
        if not (math.isfinite(optimum.value) and optimum.value > 0):
            raise InvalidInput(f"An optimal learning rate must be positive and finite. Got {optimum.value}.")
        value = math.log2(optimum.value)
        low = None if optimum.low is None or optimum.low <= 0 else math.log2(optimum.low)
        high = None if optimum.high is None else math.log2(optimum.high)
        if low is not None and high is not None:
            values.append(value)
            deviations.append((high - low) / (2 * HALF_WIDTH))
        else:  # open: the optimum lies somewhere beyond the rates that were tried
            known = [abs(value - end) / HALF_WIDTH for end in (low, high) if end is not None]
            values.append(value)
            deviations.append(max([OPEN_END_SD, *known]))
    return np.log2(batches), np.array(values), np.maximum(np.array(deviations), 1e-3)


def _bottoms(batch: Floats, optimum: Floats, deviation: Floats, curves: Sequence[UCurve]) -> Bottoms:
    """The bottoms of fitted curves; those that nothing was fitted to are left out."""
    if len(curves) != batch.size:
        raise InvalidInput(f"fit_batch_law needs one curve per optimum. Got {len(curves)} and {batch.size}.")
    at = [index for index, curve in enumerate(curves) if curve.posterior is not None]
    fitted = [curve.posterior for curve in curves if curve.posterior is not None]
    return Bottoms(
        batch=batch[at],
        optimum=optimum[at],
        optimum_sd=deviation[at],
        loss=np.array([np.median(posterior.bottom) for posterior in fitted]),
        loss_sd=np.array([np.std(posterior.bottom) for posterior in fitted]),
        octave=np.array([0.5 * np.median(posterior.curvature) for posterior in fitted]),
    )


def _parameters(posterior: LawPosterior, covariates: Floats, group: float, names: Sequence[str]) -> dict[str, Estimate]:
    shape = posterior.shape
    amplitude = posterior.linear(np.concatenate([[1.0], covariates]), group)
    parameters = {"η_max" if shape.saturates else "η₁": _quantiles(np.exp2(amplitude))}
    if shape.kind == "exponent":
        parameters["p"] = _quantiles(posterior.theta[:, 0])
    elif shape.kind == "batch_size":
        parameters["B_n"] = _quantiles(np.exp2(posterior.thetas(covariates)))
    for index, name in enumerate(names):
        direction = np.zeros(1 + len(names))
        direction[1 + index] = 1.0
        parameters[f"exponent of {name}"] = _quantiles(posterior.linear(direction, None))
        if shape.kind == "batch_size":
            parameters[f"exponent of {name} in B_n"] = _quantiles(posterior.theta[:, 1 + index])
    return parameters


def _deviation(posterior: LawPosterior, covariates: Floats, group: float) -> float:
    """Root mean square distance of a group's optima from the law itself, in octaves; NaN for a new group."""
    rows = posterior.optima.group == group
    if not rows.any():
        return math.nan
    amplitude = posterior.linear(np.concatenate([[1.0], covariates]), group)
    law = amplitude[:, None] + posterior.shape.shape(
        posterior.optima.batch[rows], posterior.thetas(covariates)[:, None]
    )
    return float(np.sqrt(np.mean((posterior.optima.optimum[rows] - np.median(law, axis=0)) ** 2)))


def _quantiles(samples: Floats) -> Estimate:
    low, middle, high = np.quantile(samples, LEVELS)
    return Estimate(middle, low, high)
