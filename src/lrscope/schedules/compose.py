"""Schedules made of schedules: one after another (`Sequence`), and one times another (`Product`)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np

from lrscope.errors import InvalidInput
from lrscope.schedules.arguments import Side, check_choice, check_numbers, refuse
from lrscope.schedules.elementwise import FloatArray, Steps
from lrscope.schedules.endless import Constant, InverseSqrtDecay, PowerDecay
from lrscope.schedules.schedule import Schedule

Clock: TypeAlias = Literal["local", "global"]


@dataclass(frozen=True)
class Sequence(Schedule):
    """Phases one after another: phase i holds from boundary i−1 up to boundary i.

    phases: the schedules. boundaries: the steps at which the later phases begin, one fewer, in order; equal ones leave
    the phase between them empty. clocks: per phase, "local" (its own step 0 is its first update) or "global" (it sees
    the run's step). boundary: the phase that the update on a boundary belongs to, "later" or "earlier".

    >>> from lrscope.schedules import Constant, LinearDecay
    >>> Sequence((Constant(), LinearDecay(3)), (2,))([0, 1, 2, 3, 4]).tolist()
    [1.0, 1.0, 1.0, 0.5, 0.0]
    """

    name = "sequence"

    phases: tuple[Schedule, ...]
    boundaries: tuple[float, ...]
    clocks: tuple[Clock, ...] = ()
    boundary: Side = "later"
    origins: tuple[float, ...] = field(init=False, repr=False, compare=False)
    """The run's step that each phase sees as its step 0."""

    def __post_init__(self) -> None:
        phases = _schedules(self, "phases")
        check_numbers(self, "boundaries", rising=True)
        check_choice(self, "boundary")
        if len(self.boundaries) != len(phases) - 1:
            raise refuse(self, "boundaries", f"{len(phases) - 1} steps in rising order, one fewer than the phases")
        if len(self.clocks) not in (0, len(phases)) or not set(self.clocks) <= {"local", "global"}:
            raise refuse(self, "clocks", f"{len(phases)} times 'local' or 'global', or empty")
        clocks = tuple(self.clocks) if "global" in self.clocks else ()
        object.__setattr__(self, "clocks", clocks)
        starts = zip(clocks or ("local",) * len(phases), (0, *self.boundaries), strict=True)
        object.__setattr__(self, "origins", tuple(0 if clock == "global" else start for clock, start in starts))
        object.__setattr__(self, "phases", tuple(_placed(p, s) for p, s in zip(phases, self.origins, strict=True)))

    @property
    def length(self) -> float | None:
        last = self.phases[-1].length
        return None if last is None else max(self.origins[-1] + last, (0, *self.boundaries)[-1])

    def at(self, t: Steps) -> Steps:
        if isinstance(t, float):
            find = bisect_right if self.boundary == "later" else bisect_left
            index = find(self.boundaries, t)
            return self.phases[index].at(t - self.origins[index])
        return self._at_array(t)

    def _at_array(self, t: FloatArray) -> FloatArray:
        side: Literal["left", "right"] = "left" if self.boundary == "later" else "right"
        if t.size < 2 or bool(np.all(t[1:] >= t[:-1])):  # in order, as a run's steps are: each phase is one slice
            edges = [0, *np.searchsorted(t, self.boundaries, side=side).tolist(), t.size]
            parts = [slice(a, b) for a, b in pairwise(edges)]
            values = [
                p.at(t[part] - o)
                for p, o, part in zip(self.phases, self.origins, parts, strict=True)
                if part.start < part.stop
            ]
            return np.concatenate(values) if values else np.empty(0)
        result = np.empty(t.size)
        index = np.searchsorted(np.asarray(self.boundaries), t, side="right" if self.boundary == "later" else "left")
        for i, (phase, origin) in enumerate(zip(self.phases, self.origins, strict=True)):
            mine = index == i
            if mine.any():
                result[mine] = phase.at(t[mine] - origin)
        return result


def _schedules(schedule: Schedule, argument: str) -> tuple[Schedule, ...]:
    """The schedules that an argument lists, one at least."""
    value = getattr(schedule, argument)
    parts = tuple(value) if isinstance(value, Iterable) else ()
    if not parts or not all(isinstance(part, Schedule) for part in parts):
        raise refuse(schedule, argument, "one or more schedules")
    return parts


def _placed(phase: Schedule, origin: float) -> Schedule:
    """The phase, told how many updates come before it where it asks for that."""
    if isinstance(phase, (InverseSqrtDecay, PowerDecay)) and phase.elapsed is None and origin:
        return replace(phase, elapsed=origin)
    return phase


def follow(first: Schedule, second: Schedule, *, at: float | None, clock: Clock, boundary: Side) -> Sequence:
    """`first` up to step `at`, then `second`; chains of phases stay flat."""
    start = first.length if at is None else at
    if start is None:
        raise InvalidInput(f"'{first}' has no end: say at which step the next phase begins, as then(…, at=step).")
    if isinstance(first, Sequence) and (first.boundary == boundary) and start >= max(first.boundaries, default=0):
        local: Clock = "local"
        clocks = (*(first.clocks or (local,) * len(first.phases)), clock)
        return Sequence((*first.phases, second), (*first.boundaries, start), clocks, boundary)
    return Sequence((first, second), (start,), ("local", clock), boundary)


@dataclass(frozen=True)
class Product(Schedule):
    """The product of schedules: each multiplies the others, on the same clock.

    >>> from lrscope.schedules import Constant, LinearDecay
    >>> (Constant(factor=0.5) * LinearDecay(3))([0, 1, 2]).tolist()
    [0.5, 0.25, 0.0]
    """

    name = "product"

    factors: tuple[Schedule, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "factors", _schedules(self, "factors"))

    @property
    def length(self) -> float | None:
        """The longest of the factors' lengths; None where none has an end."""
        return max((f.length for f in self.factors if f.length is not None), default=None)

    def at(self, t: Steps) -> Steps:
        value = self.factors[0].at(t)
        for factor in self.factors[1:]:
            value = value * factor.at(t)
        return value


def multiply(first: Schedule | float, second: Schedule | float) -> Product:
    """The product of two schedules, or of a schedule and a number; products of products stay flat."""
    factors: list[Schedule] = []
    for part in (first, second):
        schedule = part if isinstance(part, Schedule) else Constant(factor=part)
        factors += schedule.factors if isinstance(schedule, Product) else [schedule]
    return Product(tuple(factors))
