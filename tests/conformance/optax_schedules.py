"""Optax's schedules, made of lrscope's, each with the function's own signature."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from expressions import read_call

from lrscope.schedules import (
    Constant,
    CosineDecay,
    ExponentialDecay,
    PiecewiseConstant,
    PiecewiseLinear,
    PolynomialDecay,
    Schedule,
)
from lrscope.schedules import Sequence as Phases


def constant(value: float) -> Schedule:
    return Constant(factor=value)


def polynomial(
    init_value: float, end_value: float, power: float, transition_steps: int, transition_begin: int = 0
) -> Schedule:
    if transition_steps <= 0:
        return Constant(factor=init_value)
    decay = PolynomialDecay(transition_steps, init_value, end_value, end_at="total", power=power)
    return Constant(max(0, transition_begin), init_value).then(decay)


def linear(init_value: float, end_value: float, transition_steps: int, transition_begin: int = 0) -> Schedule:
    return polynomial(init_value, end_value, 1, transition_steps, transition_begin)


def _scales(boundaries_and_scales: Mapping[Any, float] | None) -> list[tuple[int, float]]:
    return sorted((int(step), scale) for step, scale in (boundaries_and_scales or {}).items())


def piecewise_constant(init_value: float, boundaries_and_scales: Mapping[Any, float] | None = None) -> Schedule:
    scales = _scales(boundaries_and_scales)
    values = accumulate((init_value, *(scale for _, scale in scales)), lambda a, b: a * b)
    return PiecewiseConstant(tuple(step for step, _ in scales), tuple(values))


def piecewise_interpolate(
    interpolate_type: str, init_value: float, boundaries_and_scales: Mapping[Any, float] | None = None
) -> Schedule:
    scales = _scales(boundaries_and_scales)
    values = accumulate((init_value, *(scale for _, scale in scales)), lambda a, b: a * b)
    return PiecewiseLinear((0, *(step for step, _ in scales)), tuple(values), interpolate_type)


def exponential(
    init_value: float,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
) -> Schedule:
    if transition_steps <= 0 or decay_rate == 0:
        return Constant(factor=init_value)
    if init_value == 0:
        held = 0.0 if end_value is None else (max if decay_rate < 1 else min)(0.0, end_value)
        return Constant(factor=held)
    end = None if end_value is None else end_value / init_value
    decay = ExponentialDecay(decay_rate, transition_steps, staircase, end)
    return init_value * Constant(max(0, transition_begin), decay(0)).then(decay)


def cosine(init_value: float, decay_steps: int, alpha: float = 0.0, exponent: float = 1.0) -> Schedule:
    return CosineDecay(decay_steps, init_value, alpha * init_value, end_at="total", exponent=exponent)


def warmup_constant(init_value: float, peak_value: float, warmup_steps: int) -> Schedule:
    return linear(init_value, peak_value, warmup_steps)


def warmup_cosine(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    decay_steps: int,
    end_value: float = 0.0,
    exponent: float = 1.0,
) -> Schedule:
    end = 0.0 if peak_value == 0 else end_value
    rest = CosineDecay(decay_steps - warmup_steps, peak_value, end, end_at="total", exponent=exponent)
    return linear(init_value, peak_value, warmup_steps).then(rest, at=warmup_steps)


def warmup_exponential(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
) -> Schedule:
    rest = exponential(peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value)
    return linear(init_value, peak_value, warmup_steps).then(rest, at=warmup_steps)


def sgdr(cosine_kwargs: Sequence[Mapping[str, Any]]) -> Schedule:
    ends = tuple(accumulate(int(cycle["decay_steps"]) for cycle in cosine_kwargs))
    return Phases(tuple(warmup_cosine(**cycle) for cycle in cosine_kwargs), ends[:-1])


def linear_onecycle(
    transition_steps: int,
    peak_value: float,
    pct_start: float = 0.3,
    pct_final: float = 0.85,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    scales = {
        int(pct_start * transition_steps): div_factor,
        int(pct_final * transition_steps): 1.0 / div_factor,
        transition_steps: 1.0 / final_div_factor,
    }
    return piecewise_interpolate("linear", peak_value / div_factor, scales)


def cosine_onecycle(
    transition_steps: int,
    peak_value: float,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    scales = {
        int(pct_start * transition_steps): div_factor,
        int(transition_steps): 1.0 / (div_factor * final_div_factor),
    }
    return piecewise_interpolate("cosine", peak_value / div_factor, scales)


SCHEDULES: dict[str, Callable[..., Any]] = {
    "constant_schedule": constant,
    "linear_schedule": linear,
    "polynomial_schedule": polynomial,
    "piecewise_constant_schedule": piecewise_constant,
    "piecewise_interpolate_schedule": piecewise_interpolate,
    "exponential_decay": exponential,
    "cosine_decay_schedule": cosine,
    "warmup_constant_schedule": warmup_constant,
    "warmup_cosine_decay_schedule": warmup_cosine,
    "warmup_exponential_decay_schedule": warmup_exponential,
    "sgdr_schedule": sgdr,
    "linear_onecycle_schedule": linear_onecycle,
    "cosine_onecycle_schedule": cosine_onecycle,
}


def _short(name: str) -> str:
    return name.removesuffix("_schedule").removesuffix("_decay")


def join(schedules: Sequence[Any], boundaries: Sequence[int]) -> Schedule:
    """`linear(0, 1, 3)` and the like, one after another; names may lose their `_schedule` and `_decay`."""
    known = {_short(name): make for name, make in SCHEDULES.items()}
    joined: Schedule | None = None
    for written, start in zip(schedules, (0, *boundaries), strict=False):
        name, positional, named = read_call(written)
        phase: Schedule = known[_short(name)](*positional, **named)
        # Nested, not flat: where boundaries are out of order, the later schedule has the last word.
        joined = phase if joined is None else joined.then(phase, at=start)
    if joined is None:
        raise ValueError("join_schedules needs a schedule.")
    return joined


SCHEDULES["join_schedules"] = join
