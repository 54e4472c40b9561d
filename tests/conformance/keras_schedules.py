"""Keras's learning-rate schedules, made of lrscope's, each with the class's own signature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lrscope.schedules import (
    CosineDecay,
    CosineRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    LinearWarmup,
    PiecewiseConstant,
    PolynomialDecay,
    Schedule,
)


def exponential(
    initial_learning_rate: float, decay_steps: float, decay_rate: float, staircase: bool = False, name: str = ""
) -> Schedule:
    return initial_learning_rate * ExponentialDecay(decay_rate, decay_steps, staircase)


def piecewise_constant(boundaries: Sequence[float], values: Sequence[float], name: str = "") -> Schedule:
    steps = tuple(int(boundary) for boundary in boundaries)  # Keras casts them to the step's own integer type
    return PiecewiseConstant(steps, tuple(values), boundary="earlier")


def polynomial(
    initial_learning_rate: float,
    decay_steps: int,
    end_learning_rate: float = 0.0001,
    power: float = 1.0,
    cycle: bool = False,
    name: str = "",
) -> Schedule:
    past_end = "cycle" if cycle else "hold"
    return PolynomialDecay(
        decay_steps, initial_learning_rate, end_learning_rate, end_at="total", past_end=past_end, power=power
    )


def inverse_time(
    initial_learning_rate: float, decay_steps: float, decay_rate: float, staircase: bool = False, name: str = ""
) -> Schedule:
    return initial_learning_rate * InverseTimeDecay(decay_steps, decay_rate, staircase)


def cosine(
    initial_learning_rate: float,
    decay_steps: int,
    alpha: float = 0.0,
    name: str = "",
    warmup_target: float | None = None,
    warmup_steps: int = 0,
) -> Schedule:
    peak = initial_learning_rate if warmup_target is None else warmup_target
    decay = CosineDecay(decay_steps, peak, alpha * peak, end_at="total")
    if warmup_target is None:
        return decay
    return LinearWarmup(warmup_steps, initial_learning_rate, warmup_target, offset=0).then(decay)


def cosine_restarts(
    initial_learning_rate: float,
    first_decay_steps: float,
    t_mul: float = 2.0,
    m_mul: float = 1.0,
    alpha: float = 0.0,
    name: str = "",
) -> Schedule:
    return CosineRestarts(
        first_decay_steps,
        t_mul,
        cycle_decay=m_mul,
        decays="range",
        start_factor=initial_learning_rate,
        end_factor=alpha * initial_learning_rate,
        end_at="total",
    )


SCHEDULES: dict[str, Callable[..., Any]] = {
    "ExponentialDecay": exponential,
    "PiecewiseConstantDecay": piecewise_constant,
    "PolynomialDecay": polynomial,
    "InverseTimeDecay": inverse_time,
    "CosineDecay": cosine,
    "CosineDecayRestarts": cosine_restarts,
}
