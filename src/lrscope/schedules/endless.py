"""Decays without an end of their own: constant, step, multi-step, exponential, inverse time, square root and power."""

from __future__ import annotations

from dataclasses import dataclass, field

from lrscope.schedules.arguments import (
    PastEnd,
    Side,
    check_choice,
    check_flag,
    check_length,
    check_number,
    check_numbers,
    check_steps,
    store,
)
from lrscope.schedules.elementwise import Steps, constant_like, exponential, maximum, minimum, power, quotient, sqrt
from lrscope.schedules.piecewise import PiecewiseConstant
from lrscope.schedules.schedule import Schedule, held


@dataclass(frozen=True)
class Constant(Schedule):
    """The same share for ever, or for `steps` updates where another phase follows.

    >>> Constant()(7)
    1.0
    """

    name = "constant"

    steps: int | None = None
    factor: float = 1.0
    past_end: PastEnd = "hold"

    def __post_init__(self) -> None:
        check_length(self, "steps", optional=True)
        check_number(self, "factor")
        check_choice(self, "past_end")

    def at(self, t: Steps) -> Steps:
        if self.past_end == "error":
            held(self, t, self.steps, self.past_end, 0.0)
        return constant_like(t, self.factor)


def _hold(schedule: Schedule, t: Steps, steps: int | None, past_end: str) -> Steps:
    """Steps held at the last update, where there is one."""
    return held(schedule, t, steps, past_end, max(0, steps - 1) if steps is not None else 0.0)


@dataclass(frozen=True)
class StepDecay(Schedule):
    """A drop by `gamma` every `step_size` updates: γ^⌊t/s⌋.

    step_size: s, updates between drops. gamma: what each drop multiplies by. steps: updates of the whole phase.
    boundary: whether update s has the "later" (lower) or the "earlier" rate.

    Residual networks (He 2015, arXiv 1512.03385) were trained so: a rate of 0.1 divided by 10 every 30 epochs.

    >>> epochs = [0, 29, 30, 59, 60, 89, 90]
    >>> [f"{0.1 * share:.4g}" for share in StepDecay(30)(epochs)]
    ['0.1', '0.1', '0.01', '0.01', '0.001', '0.001', '0.0001']
    """

    name = "step"

    step_size: float
    gamma: float = 0.1
    steps: int | None = None
    boundary: Side = "later"
    past_end: PastEnd = "hold"

    def __post_init__(self) -> None:
        check_steps(self, "step_size")
        check_number(self, "gamma")
        check_length(self, "steps", optional=True)
        check_choice(self, "boundary")
        check_choice(self, "past_end")

    def at(self, t: Steps) -> Steps:
        t = _hold(self, t, self.steps, self.past_end)
        if self.boundary == "earlier":
            return exponential(self.gamma, -quotient(-maximum(t, 1.0), self.step_size) - 1.0)
        return exponential(self.gamma, quotient(t, self.step_size))


@dataclass(frozen=True)
class MultiStepDecay(Schedule):
    """A drop by `gamma` at each milestone: γ^#{m ≤ t}.

    milestones: steps in rising order; one given twice drops twice. gamma: what each drop multiplies by. boundary:
    whether the update at a milestone has the "later" (lower) or the "earlier" rate. Source: as `StepDecay`.

    >>> MultiStepDecay((2, 4))([0, 1, 2, 3, 4]).round(3).tolist()
    [1.0, 1.0, 0.1, 0.1, 0.01]
    """

    name = "multistep"

    milestones: tuple[float, ...]
    gamma: float = 0.1
    steps: int | None = None
    boundary: Side = "later"
    past_end: PastEnd = "hold"
    _pieces: PiecewiseConstant = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_numbers(self, "milestones", rising=True)
        check_number(self, "gamma")
        check_length(self, "steps", optional=True)
        check_choice(self, "boundary")
        check_choice(self, "past_end")
        powers = tuple(self.gamma**k for k in range(len(self.milestones) + 1))
        store(self, "_pieces", PiecewiseConstant(self.milestones, powers, self.boundary))

    def at(self, t: Steps) -> Steps:
        return self._pieces.at(_hold(self, t, self.steps, self.past_end))


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """A fixed factor every so many updates: γ^(t/n), never past `end_factor` where one is given.

    gamma: γ. every: n, the updates of one factor. staircase: γ^⌊t/n⌋, in stairs. end_factor: where the decay stops (for
    γ > 1: the rise). steps: updates of the whole phase. The oldest of schedules; with γ > 1 it is the learning-rate
    range test (Smith 2015, arXiv 1506.01186).

    >>> ExponentialDecay(0.5, every=2)([0, 2, 4]).tolist()
    [1.0, 0.5, 0.25]
    """

    name = "exponential"

    gamma: float
    every: float = 1
    staircase: bool = False
    end_factor: float | None = None
    steps: int | None = None
    past_end: PastEnd = "hold"

    def __post_init__(self) -> None:
        check_number(self, "gamma")
        check_steps(self, "every")
        check_flag(self, "staircase")
        check_number(self, "end_factor", optional=True)
        check_length(self, "steps", optional=True)
        check_choice(self, "past_end")

    def at(self, t: Steps) -> Steps:
        t = _hold(self, t, self.steps, self.past_end)
        value = exponential(self.gamma, quotient(t, self.every) if self.staircase else t / self.every)
        if self.end_factor is None:
            return value
        return maximum(value, self.end_factor) if self.gamma < 1 else minimum(value, self.end_factor)


@dataclass(frozen=True)
class Line(Schedule):
    """Base of what follows the straight line 1 + r·t/n."""

    every: float
    rate: float = 1.0
    staircase: bool = False
    steps: int | None = None
    past_end: PastEnd = "hold"

    def __post_init__(self) -> None:
        check_steps(self, "every")
        check_number(self, "rate")
        check_flag(self, "staircase")
        check_length(self, "steps", optional=True)
        check_choice(self, "past_end")

    def line(self, t: Steps) -> Steps:
        """1 + r·t/n, or 1 + r·⌊t/n⌋ in stairs."""
        t = _hold(self, t, self.steps, self.past_end)
        return 1.0 + self.rate * (quotient(t, self.every) if self.staircase else t / self.every)


@dataclass(frozen=True)
class LinearGrowth(Line):
    """A straight line up without an end: 1 + r·t/n, the learning-rate range test (Smith 2018, arXiv 1803.09820).

    every: n, updates of one stair. rate: r, what each adds. staircase: whole stairs only, 1 + r·⌊t/n⌋.

    >>> LinearGrowth(10)([0, 10, 25]).tolist(), LinearGrowth(10, staircase=True)(25)
    ([1.0, 2.0, 3.5], 3.0)
    """

    name = "growth"

    def at(self, t: Steps) -> Steps:
        return self.line(t)


@dataclass(frozen=True)
class InverseTimeDecay(Line):
    """One over the time: 1/(1 + r·t/n) (Robbins & Monro 1951), the rate of stochastic approximation.

    every: n, updates in a unit of time. rate: r. staircase: whole units only.

    >>> InverseTimeDecay(10)([0, 10, 30]).tolist()
    [1.0, 0.5, 0.25]
    """

    name = "inverse_time"

    def at(self, t: Steps) -> Steps:
        return 1.0 / self.line(t)


@dataclass(frozen=True)
class InverseSqrtDecay(Schedule):
    """Inverse square root: √(τ / max(t + elapsed, τ)) (Vaswani 2017, arXiv 1706.03762; Raffel 2019, arXiv 1910.10683).

    timescale: τ, flat up to here; in text it may be left out after a warm-up, whose length it takes. elapsed: updates
    made before this phase; None takes the phases before it, so after a warm-up of w, τ = w decays at once, as √(w/t) of
    the run's step. elapsed = τ gives the decay without a horizon, √(τ/(t + τ)).

    >>> InverseSqrtDecay(4)([0, 4, 16]).tolist()
    [1.0, 1.0, 0.5]
    >>> from lrscope.schedules import LinearWarmup
    >>> LinearWarmup(4).then(InverseSqrtDecay(4))([3, 4, 16]).tolist()
    [1.0, 1.0, 0.5]
    """

    name = "inverse_sqrt"

    timescale: float
    elapsed: float | None = None
    steps: int | None = None
    past_end: PastEnd = "hold"

    def __post_init__(self) -> None:
        check_number(self, "timescale", open_low=True)
        check_number(self, "elapsed", optional=True)
        check_length(self, "steps", optional=True)
        check_choice(self, "past_end")

    def at(self, t: Steps) -> Steps:
        t = _hold(self, t, self.steps, self.past_end)
        return sqrt(self.timescale / maximum(t + (self.elapsed or 0.0), self.timescale))


@dataclass(frozen=True)
class PowerDecay(Schedule):
    """A power law: (τ / max(t + elapsed, τ))ᵉ (Shen 2024, arXiv 2408.13359); e = ½ is `InverseSqrtDecay`.

    timescale: τ. exponent: e. elapsed: as of `InverseSqrtDecay`.

    >>> PowerDecay(4, exponent=1.0)([0, 4, 16]).tolist()
    [1.0, 1.0, 0.25]
    """

    name = "power"

    timescale: float
    exponent: float = 0.5
    elapsed: float | None = None
    steps: int | None = None
    past_end: PastEnd = "hold"

    def __post_init__(self) -> None:
        check_number(self, "timescale", open_low=True)
        check_number(self, "exponent")
        check_number(self, "elapsed", optional=True)
        check_length(self, "steps", optional=True)
        check_choice(self, "past_end")

    def at(self, t: Steps) -> Steps:
        t = _hold(self, t, self.steps, self.past_end)
        return power(self.timescale / maximum(t + (self.elapsed or 0.0), self.timescale), self.exponent)
