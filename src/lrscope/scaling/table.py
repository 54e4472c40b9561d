"""A table of finished runs, as arrays: per group the optima by batch size, the laws, the predictions, the next run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from lrscope.errors import InvalidInput
from lrscope.estimate import Estimate
from lrscope.numbers import format_size
from lrscope.scaling.batch_law import BatchLaw, fit_batch_law, fit_group_laws, predict_many
from lrscope.scaling.next_run import NextRun, advise_next_run
from lrscope.scaling.posterior import Floats
from lrscope.scaling.steps_to_target import StepsLaw, fit_steps_to_target
from lrscope.scaling.u_curve import UCurve, fit_u_curve

Value = float | str


@dataclass(frozen=True, kw_only=True, eq=False)
class Runs:
    """Finished runs as columns (n,): `loss` lower is better, not finite = diverged; None where there is no such column.

    `by` are what tells groups apart: numbers that are positive join as covariates, words only split. `metric` is what
    the loss is called; where more of it is better, `loss` holds `ceiling` − metric. `known` are optima that more is
    known of than these runs tell, by schedule ("" for the only one) and batch size.
    """

    lr: Floats
    loss: Floats
    batch_size: Floats | None = None
    seed: NDArray[np.generic] | None = None
    initial_loss: Floats | None = None
    by: Mapping[str, Sequence[Value]]
    metric: str = "loss"
    ceiling: float | None = None
    known: Mapping[tuple[str, float], Estimate] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.lr.size)


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """The curve of one batch size (None where the table has no batch sizes)."""

    batch_size: float | None
    u_curve: UCurve
    runs: int


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupScaling:
    """One group: its curves by batch size, its laws best first, the predictions asked for, and the run to make next."""

    group: Mapping[str, Value]
    curves: tuple[Curve, ...]
    laws: tuple[BatchLaw, ...]
    predictions: tuple[tuple[float, Estimate], ...]
    next_run: NextRun | None
    notes: tuple[str, ...] = ()
    steps_law: StepsLaw | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Scaling:
    """What a table says, group by group; `covariates` are the columns that joined the groups' laws.

    `metric` and `ceiling` are as in `Runs`.
    """

    groups: tuple[GroupScaling, ...]
    covariates: tuple[str, ...]
    metric: str = "loss"
    ceiling: float | None = None

    def in_units(self, loss: float) -> float:
        """A loss in the units of the metric: the metric itself where more of it is better."""
        return loss if self.ceiling is None else self.ceiling - loss

    def estimate_in_units(self, loss: Estimate | None) -> Estimate | None:
        """An estimated loss in the units of the metric."""
        if loss is None or self.ceiling is None:
            return loss
        ends = [None if end is None else self.ceiling - end for end in (loss.high, loss.low)]
        return Estimate(self.ceiling - loss.value, *ends)


def scale_runs(runs: Runs, predict: Sequence[float] = ()) -> Scaling:
    """Find the optima of each group and batch size, fit the laws, predict.

    Where at least three groups differ in a positive number, it joins the laws as a power-law covariate, so that the
    groups lend each other strength; groups that differ in words are fitted apart.

    Arguments:
        runs: finished runs.
        predict: batch sizes to predict at; by default two and four times the largest tried.

    Raises:
        InvalidInput: there is no run, or a rate or batch size is not positive.
    """
    if len(runs) == 0:
        raise InvalidInput("The table holds no run.")
    split = _split(runs)
    curves = [_curves(runs, rows, str(group.get("schedule", ""))) for group, rows in split]
    covariates = _covariates([group for group, _ in split])
    laws = _laws([group for group, _ in split], curves, covariates)
    groups = [
        _group(group, fitted, best, predict) for (group, _), fitted, best in zip(split, curves, laws, strict=True)
    ]
    return Scaling(groups=tuple(groups), covariates=covariates, metric=runs.metric, ceiling=runs.ceiling)


def scale_steps(batch_size: Floats, steps: Floats, by: Mapping[str, Sequence[Value]]) -> Scaling:
    """The steps-against-examples trade of each group, from steps to a target by batch size."""
    nothing = np.zeros(batch_size.size)
    groups = []
    for group, rows in _split(Runs(lr=nothing, loss=nothing, by=by)):
        sizes = np.unique(batch_size[rows])
        law: StepsLaw | None = None
        notes: tuple[str, ...] = ()
        if sizes.size >= 3:
            law = fit_steps_to_target(batch_size[rows], steps[rows])
            notes = _beyond(law, float(sizes[0]), float(sizes[-1]))
        else:
            notes = (
                f"Steps at {sizes.size} batch sizes cannot show where more stops helping: at least three are needed.",
            )
        groups.append(
            GroupScaling(group=group, curves=(), laws=(), predictions=(), next_run=None, notes=notes, steps_law=law)
        )
    return Scaling(groups=tuple(groups), covariates=(), metric="steps")


def _beyond(law: StepsLaw, smallest: float, largest: float) -> tuple[str, ...]:
    """What an open critical batch size means."""
    critical = law.critical_batch_size
    if critical.low is not None:
        return ()
    if critical.value >= largest:
        return (f"Steps fall as the batch grows up to {format_size(largest)}: the critical batch size lies beyond.",)
    if critical.value <= smallest:
        where = format_size(smallest)
        return (f"Steps do not fall as the batch grows from {where} on: the critical batch size lies below.",)
    return ("These points leave the critical batch size open: they scatter too much, or are too few.",)


def _split(runs: Runs) -> list[tuple[dict[str, Value], NDArray[np.intp]]]:
    """Groups in sorted order with their rows."""
    names = list(runs.by)
    rows: dict[tuple[Value, ...], list[int]] = {}
    for index in range(len(runs)):
        rows.setdefault(tuple(runs.by[name][index] for name in names), []).append(index)
    ordered = sorted(rows, key=lambda key: tuple((isinstance(value, str), value) for value in key))
    return [(dict(zip(names, key, strict=True)), np.array(rows[key])) for key in ordered]


def _curves(runs: Runs, rows: NDArray[np.intp], schedule: str) -> tuple[Curve, ...]:
    sizes: list[float | None] = [None]
    if runs.batch_size is not None:
        bad = runs.batch_size[rows][~(np.isfinite(runs.batch_size[rows]) & (runs.batch_size[rows] > 0))]
        if bad.size:
            raise InvalidInput(f"A batch size must be positive and finite. Got {bad[0]:g}.")
        sizes = [float(size) for size in np.unique(runs.batch_size[rows])]
    curves = []
    for size in sizes:
        at = rows if size is None or runs.batch_size is None else rows[runs.batch_size[rows] == size]
        initial = None if runs.initial_loss is None else float(np.nanmean(runs.initial_loss[at]))
        seed = None if runs.seed is None else runs.seed[at]
        curve = fit_u_curve(runs.lr[at], runs.loss[at], initial_loss=initial, seed=seed)
        known = None if size is None else runs.known.get((schedule, size))
        if known is not None:
            curve = replace(curve, status="found", optimal_lr=known, edge=None, next_lrs=(), advice="")
        curves.append(Curve(batch_size=size, u_curve=curve, runs=int(at.size)))
    return tuple(curves)


def _covariates(groups: Sequence[Mapping[str, Value]]) -> tuple[str, ...]:
    """The columns that are positive numbers in every group and differ between them."""
    names = []
    for name in groups[0]:
        values = [group[name] for group in groups]
        numbers = [value for value in values if not isinstance(value, str) and math.isfinite(value) and value > 0]
        if len(numbers) == len(values) and len(set(numbers)) > 1:
            names.append(name)
    return tuple(names)


def _optima(curves: Sequence[Curve]) -> list[tuple[float, Estimate, UCurve]]:
    """Optima that a law can be fitted to: batch size, rate and curve; inconclusive ones where there are no others."""
    known = [
        (curve.batch_size, curve.u_curve.optimal_lr, curve.u_curve)
        for curve in curves
        if curve.batch_size is not None and curve.u_curve.optimal_lr is not None
    ]
    sure = [optimum for optimum in known if optimum[2].status in ("found", "edge")]
    return sure or known


def _laws(
    groups: Sequence[Mapping[str, Value]], curves: Sequence[tuple[Curve, ...]], covariates: tuple[str, ...]
) -> list[tuple[BatchLaw, ...]]:
    """The laws of each group: fitted together with the groups of the same words, where there are three or more."""
    laws: list[tuple[BatchLaw, ...]] = [()] * len(groups)
    companies: dict[tuple[Value, ...], list[int]] = {}
    for index, group in enumerate(groups):
        companies.setdefault(tuple(value for name, value in group.items() if name not in covariates), []).append(index)
    for members in companies.values():
        optima = [(index, batch, lr) for index in members for batch, lr, _ in _optima(curves[index])]
        informed = {index for index, _, _ in optima}
        varying = [name for name in covariates if len({groups[index][name] for index in informed}) > 1]
        if varying and len(informed) >= 3 and len(optima) > 2 * len(varying) + 2:
            values = [[float(groups[index][name]) for name in varying] for index, _, _ in optima]
            shared = fit_group_laws([batch for _, batch, _ in optima], [lr for _, _, lr in optima], values, varying)
            for index in members:
                laws[index] = shared.at([float(groups[index][name]) for name in varying])
            continue
        for index in members:
            own = _optima(curves[index])
            if own:
                sizes, rates, fitted = zip(*own, strict=True)
                laws[index] = fit_batch_law(sizes, rates, curves=fitted)
    return laws


def _group(
    group: Mapping[str, Value], curves: tuple[Curve, ...], laws: tuple[BatchLaw, ...], predict: Sequence[float]
) -> GroupScaling:
    sizes = [curve.batch_size for curve in curves if curve.batch_size is not None]
    wanted = list(predict) if predict else [2 * max(sizes), 4 * max(sizes)] if sizes else []
    predictions = tuple(zip(wanted, predict_many(laws, wanted), strict=True)) if laws and wanted else ()
    notes = []
    if predict and not laws:
        notes.append("No optimum was found, so nothing can be predicted.")
    if laws and len(_optima(curves)) == 1:
        notes.append("One batch size cannot show how the optimum moves: the prediction rests on what other jobs do.")
    elif laws and len(laws) > 1 and laws[0].weight < 0.5:
        notes.append(
            f"These batch sizes do not tell the laws apart ({laws[0].name} {100 * laws[0].weight:.0f} %, "
            f"{laws[1].name} {100 * laws[1].weight:.0f} %): the prediction is an average over them."
        )
    next_run = advise_next_run([(curve.batch_size, curve.u_curve) for curve in curves], laws)
    return GroupScaling(
        group=group, curves=curves, laws=laws, predictions=predictions, next_run=next_run, notes=tuple(notes)
    )
