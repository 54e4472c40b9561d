"""Warm-ups: from a small share to the full one over the first updates."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from lrscope.schedules.arguments import PastEnd, check_choice, check_length, check_number
from lrscope.schedules.elementwise import Steps, constant_like, cos, log, maximum, minimum, power, sqrt
from lrscope.schedules.schedule import Schedule, held


@dataclass(frozen=True)
class Warmup(Schedule):
    """Base of the warm-ups: s + (f − s)·shape((t + offset)/w), then f.

    warmup_steps: w, updates. start_factor, end_factor: the shares s and f. offset: 1 counts updates from one, so that
    none is wasted at a rate of zero and the last update of the warm-up has the full rate; 0 counts from zero.
    past_end: "hold" and "continue" stay at f, "error" refuses.
    """

    length_field: ClassVar[str] = "warmup_steps"

    warmup_steps: int
    start_factor: float = 0.0
    end_factor: float = 1.0
    offset: float = 1.0
    past_end: PastEnd = "hold"

    def __post_init__(self) -> None:
        check_length(self, "warmup_steps")
        check_number(self, "start_factor")
        check_number(self, "end_factor")
        check_number(self, "offset", high=1.0)
        check_choice(self, "past_end")

    @abstractmethod
    def shape(self, p: Steps) -> Steps:
        """The share of the way up at p in [0, 1]."""

    def at(self, t: Steps) -> Steps:
        w = self.warmup_steps
        t = held(self, t, w, self.past_end, w)
        if w == 0:
            return constant_like(t, self.end_factor)
        p = minimum((t + self.offset) / w, 1.0)
        return self.start_factor + (self.end_factor - self.start_factor) * self.shape(p)


@dataclass(frozen=True)
class LinearWarmup(Warmup):
    """A straight line up: s + (f − s)·(t + offset)/w (Goyal 2017, arXiv 1706.02677). Arguments: see `Warmup`.

    >>> LinearWarmup(4)([0, 1, 2, 3, 4]).tolist()
    [0.25, 0.5, 0.75, 1.0, 1.0]
    >>> LinearWarmup(4, offset=0)([0, 1, 2, 3, 4]).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """

    name = "warmup"

    def shape(self, p: Steps) -> Steps:
        return p


@dataclass(frozen=True)
class CosineWarmup(Warmup):
    """Half a cosine up: s + (f − s)·½(1 − cos πp), p = (t + offset)/w; the rise of one-cycle (Smith 2017, 1708.07120).

    >>> CosineWarmup(2)([0, 1]).round(3).tolist()
    [0.5, 1.0]
    """

    name = "warmup_cosine"

    def shape(self, p: Steps) -> Steps:
        return 0.5 * (1.0 - cos(math.pi * p))


@dataclass(frozen=True)
class SqrtWarmup(Warmup):
    """Slow at first, steep at the end: s + (f − s)·(1 − √(1 − p)), p = (t + offset)/w, the mirrored 1 − √p cool-down.

    Source of the cool-down: Hägele 2024, arXiv 2405.18392. Arguments: see `Warmup`.

    >>> SqrtWarmup(4)([0, 2, 3]).round(3).tolist()
    [0.134, 0.5, 1.0]
    """

    name = "warmup_sqrt"

    def shape(self, p: Steps) -> Steps:
        return 1.0 - sqrt(1.0 - p)


@dataclass(frozen=True)
class PolynomialWarmup(Warmup):
    """A power of the line up: s + (f − s)·pᵉ, p = (t + offset)/w, with e the `power`; e = 1 is `LinearWarmup`'s.

    >>> PolynomialWarmup(4, power=2)([0, 1, 2, 3]).tolist()
    [0.0625, 0.25, 0.5625, 1.0]
    """

    name = "warmup_polynomial"

    power: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self, "power", open_low=True)

    def shape(self, p: Steps) -> Steps:
        return power(p, self.power)


@dataclass(frozen=True)
class LogWarmup(Warmup):
    """Steep at first: s + (f − s)·ln(t + offset)/ln w, the default of DeepSpeed's warm-up; s before t + offset = 1.

    >>> LogWarmup(4)([0, 1, 3]).tolist()
    [0.0, 0.5, 1.0]
    """

    name = "warmup_log"

    def shape(self, p: Steps) -> Steps:
        if self.warmup_steps == 1:
            return p
        return log(maximum(p * self.warmup_steps, 1.0)) / math.log(self.warmup_steps)
