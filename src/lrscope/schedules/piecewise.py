"""Schedules given by their values: constant or interpolated between steps, or one value per update."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from lrscope.schedules.arguments import PastEnd, Side, check_choice, check_numbers, refuse, store
from lrscope.schedules.elementwise import FloatArray, Steps, clip, cos, count_edges, floor, look_up, maximum
from lrscope.schedules.schedule import Schedule, held


def _keep(schedule: Schedule, name: str, values: tuple[float, ...]) -> None:
    """Keep the array twin of a tuple, which array calls read."""
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    store(schedule, name, array)


@dataclass(frozen=True)
class PiecewiseConstant(Schedule):
    """Shares that change at given steps and stay in between.

    boundaries: the steps in rising order, n. factors: the shares, n + 1. boundary: whether the update on a boundary has
    the "later" or the "earlier" share.

    >>> PiecewiseConstant((2, 4), (1.0, 0.5, 0.1))([0, 1, 2, 3, 4]).tolist()
    [1.0, 1.0, 0.5, 0.5, 0.1]
    """

    name = "piecewise"

    boundaries: tuple[float, ...]
    factors: tuple[float, ...]
    boundary: Side = "later"
    _edges: FloatArray = field(init=False, repr=False, compare=False)
    _values: FloatArray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_numbers(self, "boundaries", rising=True)
        check_numbers(self, "factors", at_least=1)
        check_choice(self, "boundary")
        if len(self.factors) != len(self.boundaries) + 1:
            raise refuse(self, "factors", f"{len(self.boundaries) + 1} numbers, one more than the boundaries")
        _keep(self, "_edges", self.boundaries)
        _keep(self, "_values", self.factors)

    def at(self, t: Steps) -> Steps:
        side: Literal["left", "right"] = "right" if self.boundary == "later" else "left"
        index = count_edges(t, self.boundaries, self._edges, side=side)
        value: Steps = look_up(index, self.factors, self._values)
        return value


@dataclass(frozen=True)
class PiecewiseLinear(Schedule):
    """Shares given at some steps, and a line (or half a cosine) from each to the next.

    knots: the steps in rising order; two equal ones make a jump, the later share at the step itself. factors: the
    shares there. interpolation: "linear" or "cosine". past_end: "hold" the last share, "continue" the last piece (a
    falling line down to zero), or "error".

    >>> PiecewiseLinear((0, 2, 4), (0.0, 1.0, 0.5))([0, 1, 2, 3, 4, 5]).tolist()
    [0.0, 0.5, 1.0, 0.75, 0.5, 0.5]
    """

    name = "piecewise_linear"

    knots: tuple[float, ...]
    factors: tuple[float, ...]
    interpolation: Literal["linear", "cosine"] = "linear"
    past_end: PastEnd = "hold"
    _edges: FloatArray = field(init=False, repr=False, compare=False)
    _values: FloatArray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_numbers(self, "knots", rising=True, at_least=1)
        check_numbers(self, "factors", at_least=1)
        check_choice(self, "interpolation", ("linear", "cosine"))
        check_choice(self, "past_end")
        if len(self.factors) != len(self.knots):
            raise refuse(self, "factors", f"{len(self.knots)} numbers, as many as the knots")
        _keep(self, "_edges", self.knots)
        _keep(self, "_values", self.factors)

    @property
    def length(self) -> float:
        """The updates up to the last knot, with it."""
        return self.knots[-1] + 1

    def at(self, t: Steps) -> Steps:
        held(self, t, self.length, self.past_end, self.length)
        return interpolate(
            t, self.knots, self.factors, self._edges, self._values, self.interpolation, on=self.past_end == "continue"
        )


def interpolate(
    t: Steps,
    knots: tuple[float, ...],
    factors: tuple[float, ...],
    edges: FloatArray,
    values: FloatArray,
    interpolation: str,
    *,
    on: bool,
) -> Steps:
    """Values between knots; `on` carries the last piece on past the last knot, else the ends are held.

    knots, factors: tuples (n,). edges, values: the same as arrays. A piece of no length gives its later value.
    """
    if len(knots) == 1:
        return t * 0.0 + factors[0]
    most = len(knots) - 2
    index = count_edges(t, knots, edges, side="right") - 1
    index = np.clip(index, 0, most) if isinstance(index, np.ndarray) else min(max(index, 0), most)
    low, high = look_up(index, knots, edges), look_up(index + 1, knots, edges)
    start, end = look_up(index, factors, values), look_up(index + 1, factors, values)
    gap = high - low
    if isinstance(t, float):
        p = (t - low) / gap if gap else 1.0
    else:
        p = (t - low) / np.where(gap == 0.0, 1.0, gap)
        p = np.where(gap == 0.0, 1.0, p)
    p = clip(p, 0.0, math.inf if on else 1.0)
    if interpolation == "cosine":
        cosine: Steps = end + (start - end) * (0.5 * (1.0 + cos(math.pi * p)))
        return cosine
    line: Steps = start + (end - start) * p
    return maximum(line, 0.0) if on else line


@dataclass(frozen=True)
class Tabulated(Schedule):
    """One share per update, as measured, refined or planned: values[t]; between whole steps a straight line.

    >>> Tabulated((0.5, 1.0, 0.25))([0, 1, 1.5, 2, 3]).tolist()
    [0.5, 1.0, 0.625, 0.25, 0.25]
    """

    name = "tabulated"

    values: tuple[float, ...]
    past_end: Literal["hold", "error"] = "hold"
    _values: FloatArray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_numbers(self, "values", at_least=1)
        check_choice(self, "past_end", ("hold", "error"))
        _keep(self, "_values", self.values)

    @property
    def length(self) -> float:
        """The number of values."""
        return len(self.values)

    def at(self, t: Steps) -> Steps:
        last = len(self.values) - 1
        t = held(self, t, last + 1, self.past_end, last)
        whole = floor(t)
        if isinstance(t, float):
            i = int(t)
            first, second = self.values[i], self.values[min(i + 1, last)]
            return first + (second - first) * (t - whole)
        index = whole.astype(np.int64)
        start = self._values[index]
        if bool(np.all(whole == t)):
            return start
        return start + (self._values[np.minimum(index + 1, last)] - start) * (t - whole)
