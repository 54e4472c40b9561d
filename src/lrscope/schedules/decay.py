"""Decays with an end: linear, polynomial, cosine, tanh, REX and the cool-down shapes, over `decay_steps` updates.

All are `end + (start − end)·shape(p)`, with p the share of the decay done, 0 at its first update.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from lrscope.schedules.arguments import CHOICES, EndAt, PastEnd, check_choice, check_length, check_number, refuse
from lrscope.schedules.elementwise import (
    Steps,
    constant_like,
    cos,
    exponential,
    maximum,
    minimum,
    power,
    quotient,
    sqrt,
    tanh,
)
from lrscope.schedules.schedule import Schedule, held

Shape: TypeAlias = Literal["linear", "cosine", "sqrt", "square", "exponential", "mirror_cosine"]
SHAPES = ("linear", "cosine", "sqrt", "square", "exponential", "mirror_cosine")


@dataclass(frozen=True)
class Decay(Schedule):
    """Base of the decays over a known number of updates: f + (s − f)·shape(pᵏ).

    decay_steps: updates of the decay, N. start_factor, end_factor: the shares s and f that it goes from and to.
    end_at: the update that gets the end value: the "last_update" (p = t/(N−1)), the first one past the end ("total",
    p = t/N), or "never" (p = t/N, and past the end the last update's value is held). past_end: "hold", "continue" the
    formula (as far as it has a meaning), "cycle" (the decay goes on, stretched to end at the next multiple of its
    length), or "error". k_decay: k (Zhang 2020, arXiv 2004.05909). offset: 1 counts updates from one, t + 1 for t, so
    that the first update of the decay is lower already.
    """

    length_field: ClassVar[str] = "decay_steps"

    decay_steps: int
    start_factor: float = 1.0
    end_factor: float = 0.0
    end_at: EndAt = "last_update"
    past_end: PastEnd | Literal["cycle"] = "hold"
    k_decay: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        check_length(self, "decay_steps")
        check_number(self, "start_factor")
        check_number(self, "end_factor")
        check_choice(self, "end_at")
        check_choice(self, "past_end", (*CHOICES["past_end"], "cycle"))
        check_number(self, "k_decay", open_low=True)
        check_number(self, "offset", high=1.0)

    @abstractmethod
    def shape(self, p: Steps) -> Steps:
        """The share of the way that is still to go: 1 at p = 0, 0 at p = 1."""

    def at(self, t: Steps) -> Steps:
        n, last = self.decay_steps, self.decay_steps - 1
        if n == 0 or (n == 1 and self.end_at == "last_update"):
            return constant_like(held(self, t, n, self.past_end, 0.0), self.end_factor)
        way: Any = last if self.end_at == "last_update" else n
        if self.past_end == "cycle":
            t = t + self.offset
            way = maximum(-quotient(-t - (n - way), n), 1.0) * n - (n - way)
        else:
            t = held(self, t, n, self.past_end, n if self.end_at == "total" else last) + self.offset
            t = t if self.past_end == "continue" else minimum(t, way)
        p: Steps = power(t / way, self.k_decay)
        return self.end_factor + (self.start_factor - self.end_factor) * self.shape(p)


@dataclass(frozen=True)
class LinearDecay(Decay):
    """A straight line: f + (s − f)·(1 − p).

    To zero, with a tuned peak, it is the strongest single default known for LLM training (Bergsma 2025,
    arXiv 2502.15938). Past the end, "continue" stays at the end value. Arguments: see `Decay`.

    >>> LinearDecay(5)([0, 1, 2, 3, 4, 5]).tolist()
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """

    name = "linear"

    def shape(self, p: Steps) -> Steps:
        return maximum(1.0 - p, 0.0)


@dataclass(frozen=True)
class PolynomialDecay(Decay):
    """A power of the straight line: f + (s − f)·(1 − p)ᵉ, with e the `power` (Chen 2016, arXiv 1606.00915).

    >>> PolynomialDecay(5, power=2)([0, 1, 2, 3, 4]).tolist()
    [1.0, 0.5625, 0.25, 0.0625, 0.0]
    >>> PolynomialDecay(4, power=2, end_at="total", past_end="cycle")([2, 4, 6, 8]).tolist()
    [0.25, 0.0, 0.0625, 0.0]
    """

    name = "polynomial"

    power: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self, "power")

    def shape(self, p: Steps) -> Steps:
        return power(maximum(1.0 - p, 0.0), self.power)


@dataclass(frozen=True)
class CosineDecay(Decay):
    """A cosine: f + (s − f)·[½(1 + cos 2πcp)]ᵉ (Loshchilov & Hutter 2016, arXiv 1608.03983).

    num_cycles: c, waves over the decay; the usual half a wave ends at the bottom. exponent: e. Past the end, "continue"
    goes up again, as PyTorch's and Transformers' formulas do. The others: see `Decay`.

    >>> CosineDecay(3)([0, 1, 2]).tolist()
    [1.0, 0.5, 0.0]
    >>> CosineDecay(10, end_at="total", past_end="continue")(20)
    1.0
    """

    name = "cosine"

    num_cycles: float = 0.5
    exponent: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self, "num_cycles")
        check_number(self, "exponent")

    def shape(self, p: Steps) -> Steps:
        return power(0.5 * (1.0 + cos(2.0 * math.pi * self.num_cycles * p)), self.exponent)


@dataclass(frozen=True)
class TanhDecay(Decay):
    """A hyperbolic tangent: f + (s − f)·½(1 − tanh(l(1 − p) + up)) (Hsueh 2018, arXiv 1806.01593).

    lower, upper: l and u, the stretch of the tangent that is used. It starts and ends near s and f, not at them.

    >>> round(TanhDecay(11)(7), 3)
    0.5
    """

    name = "tanh"

    lower: float = -7.0
    upper: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self, "lower", low=-math.inf)
        check_number(self, "upper", low=-math.inf)
        if self.lower >= self.upper:
            raise refuse(self, "lower", f"below upper, {self.upper:g}")

    def shape(self, p: Steps) -> Steps:
        return 0.5 * (1.0 - tanh(self.lower * (1.0 - p) + self.upper * p))


@dataclass(frozen=True)
class Rex(Decay):
    """Reflected exponential: f + (s − f)·(1 − p)/(1 − p/2), above the line at first, steep at the end.

    Source: Chen 2021, arXiv 2107.04197. Arguments: see `Decay`.

    >>> Rex(3)([0, 1, 2]).round(3).tolist()
    [1.0, 0.667, 0.0]
    """

    name = "rex"

    def shape(self, p: Steps) -> Steps:
        left = maximum(1.0 - p, 0.0)
        return left / (0.5 + 0.5 * left)


@dataclass(frozen=True)
class Cooldown(Decay):
    """The last phase of warm-up–stable–decay, f + (s − f)·shape(p), in one of the shapes in use.

    shape_name: "linear" 1 − p; "cosine" ½(1 + cos πp); "sqrt" 1 − √p (Hägele 2024, arXiv 2405.18392); "square" 1 − p²;
    "exponential" (0.01ᵖ − 0.01)/0.99; "mirror_cosine" 2(1 − p) − ½(1 + cos πp), the cosine mirrored on the line.

    >>> [round(Cooldown(5, shape_name=name)(1), 3) for name in SHAPES]
    [0.75, 0.854, 0.5, 0.938, 0.309, 0.646]
    """

    name = "cooldown"

    shape_name: Shape = "sqrt"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "shape_name", SHAPES)

    def shape(self, p: Steps) -> Steps:
        match self.shape_name:
            case "sqrt":
                return maximum(1.0 - sqrt(p), 0.0)
            case "square":
                return maximum(1.0 - p * p, 0.0)
            case "exponential":
                return maximum((exponential(0.01, p) - 0.01) / 0.99, 0.0)
            case "cosine":
                return 0.5 * (1.0 + cos(math.pi * p))
            case "mirror_cosine":
                return maximum(2.0 * (1.0 - p) - 0.5 * (1.0 + cos(math.pi * p)), 0.0)
            case _:
                return maximum(1.0 - p, 0.0)
