"""The one run that would settle most of what is still open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrscope.estimate import HALF_WIDTH
from lrscope.numbers import format_interval, format_number, format_size
from lrscope.scaling.batch_law import BatchLaw, predict_many
from lrscope.scaling.u_curve import UCurve

APART_OCTAVES = 0.25  # laws that differ by less than this at a batch size are not told apart by a run there
SMALLEST = 4.0  # nobody trains with smaller batches to settle a question
SETTLED_OCTAVES = 0.35  # a prediction surer than this (deviation) needs no run


@dataclass(frozen=True, kw_only=True)
class NextRun:
    """Train `lr` at `batch_size` (None: the table has no batch sizes), and why."""

    batch_size: float | None
    lr: float
    why: str

    def to_json(self) -> dict[str, Any]:
        """batch_size, lr, why."""
        return {"batch_size": self.batch_size, "lr": self.lr, "why": self.why}


def advise_next_run(curves: Sequence[tuple[float | None, UCurve]], laws: Sequence[BatchLaw]) -> NextRun | None:
    """The run to make next; None where nothing worth a run is open.

    First curves without a bracketed optimum, the largest batch size before others, as predictions lean on it; then
    the batch size at which the laws that still stand contradict each other most.
    """
    unsettled = [(size, curve) for size, curve in curves if curve.status != "found" and curve.next_lrs]
    if unsettled:
        size, curve = max(unsettled, key=lambda pair: -1.0 if pair[0] is None else pair[0])
        where = "" if size is None else f"At batch size {size:g}: "
        return NextRun(batch_size=size, lr=curve.next_lrs[0], why=where + curve.advice)
    sizes = [size for size, _ in curves if size is not None]
    if not sizes or not laws:
        return None
    candidates = np.array([min(sizes) / 4, max(sizes) * 2, max(sizes) * 4])
    candidates = candidates[candidates >= SMALLEST]
    medians = np.array([[np.median(column) for column in law.log2_samples(candidates).T] for law in laws])
    weights = np.array([law.weight for law in laws])
    centre = weights @ medians
    apart = np.sqrt(weights @ (medians - centre) ** 2)  # how far the laws lie from their mean, in octaves
    estimates = predict_many(laws, candidates)
    if apart.max() >= APART_OCTAVES:
        at = int(np.argmax(apart))
        first = int(np.argmax(weights))
        other = int(np.argmax(weights * np.abs(medians[:, at] - medians[first, at])))
        one, two = (f"{laws[k].name} says {format_number(2.0 ** medians[k, at])}" for k in (first, other))
        why = f"At batch size {format_size(candidates[at])} {one} and {two}: a run between them tells them apart."
        return NextRun(batch_size=float(candidates[at]), lr=estimates[at].value, why=why)
    widths = [math.log2((estimate.high or estimate.value) / (estimate.low or estimate.value)) for estimate in estimates]
    at = int(np.argmax(widths))
    if widths[at] / (2 * HALF_WIDTH) < SETTLED_OCTAVES:
        return None
    estimate = estimates[at]
    why = (
        f"The laws agree on about {format_number(estimate.value)} at batch size {format_size(candidates[at])}, but "
        f"only to within {format_interval(estimate)}: this run would show whether the growth goes on."
    )
    return NextRun(batch_size=float(candidates[at]), lr=estimate.value, why=why)
