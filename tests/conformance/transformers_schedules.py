"""transformers' `get_…_schedule` functions, made of lrscope's schedules, each with the function's own signature."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from expressions import resumed

from lrscope.schedules import (
    Constant,
    Cooldown,
    CosineDecay,
    CosineRestarts,
    CosineWarmup,
    InverseSqrtDecay,
    LinearDecay,
    LinearWarmup,
    PolynomialDecay,
    Schedule,
    SqrtWarmup,
)


def resumable(make: Callable[..., Schedule]) -> Callable[..., Callable[[Any], Any]]:
    """The function with its `last_epoch` at work."""

    @wraps(make)
    def made(*arguments: Any, last_epoch: int = -1, **named: Any) -> Callable[[Any], Any]:
        return resumed(make(*arguments, **named), last_epoch)

    return made


def after_warmup(warmup_steps: int, rest: Schedule, base_lr: float = 1.0) -> Schedule:
    """A warm-up t/w, then the rest on its own clock."""
    return LinearWarmup(warmup_steps, 0.0, base_lr, offset=0).then(rest)


def constant(base_lr: float, last_epoch: int = -1) -> Schedule:
    return Constant(factor=base_lr)


def constant_with_warmup(base_lr: float, num_warmup_steps: int, last_epoch: int = -1) -> Schedule:
    return after_warmup(num_warmup_steps, Constant(factor=base_lr), base_lr)


def linear(base_lr: float, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1) -> Schedule:
    decay_steps = max(0, num_training_steps - num_warmup_steps)
    return after_warmup(num_warmup_steps, LinearDecay(decay_steps, base_lr, end_at="total"), base_lr)


def cosine(
    base_lr: float, num_warmup_steps: int, num_training_steps: int, num_cycles: float = 0.5, last_epoch: int = -1
) -> Schedule:
    return cosine_with_min_lr(base_lr, num_warmup_steps, num_training_steps, num_cycles, min_lr=0.0)


def cosine_with_hard_restarts(
    base_lr: float, num_warmup_steps: int, num_training_steps: int, num_cycles: float = 1, last_epoch: int = -1
) -> Schedule:
    steps = max(1, num_training_steps - num_warmup_steps)
    rest = CosineRestarts(cycles=num_cycles, steps=steps, start_factor=base_lr, end_at="total")
    return after_warmup(num_warmup_steps, rest, base_lr)


def polynomial(
    base_lr: float,
    num_warmup_steps: int,
    num_training_steps: int,
    lr_end: float = 1e-7,
    power: float = 1.0,
    last_epoch: int = -1,
) -> Schedule:
    decay_steps = max(0, num_training_steps - num_warmup_steps)
    decay = PolynomialDecay(decay_steps, base_lr, lr_end, end_at="total", power=power)
    # A power of zero is at its start to the end, and at lr_end only past it.
    return after_warmup(num_warmup_steps, decay.then(Constant(factor=lr_end), at=decay_steps + 1), base_lr)


def inverse_sqrt(base_lr: float, num_warmup_steps: int, timescale: int | None = None, last_epoch: int = -1) -> Schedule:
    scale = timescale if timescale is not None else num_warmup_steps or 10_000
    return base_lr * after_warmup(num_warmup_steps, InverseSqrtDecay(scale, elapsed=scale))


def cosine_with_min_lr(
    base_lr: float,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
) -> Schedule:
    end = base_lr * (min_lr_rate or 0.0) if min_lr is None else min_lr
    decay_steps = max(1, num_training_steps - num_warmup_steps)
    rest = CosineDecay(decay_steps, base_lr, end, end_at="total", past_end="continue", num_cycles=num_cycles)
    return after_warmup(num_warmup_steps, rest, base_lr)


def cosine_with_min_lr_rate(
    base_lr: float,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
    warmup_lr_rate: float | None = None,
) -> Schedule:
    end = base_lr * (min_lr_rate or 0.0) if min_lr is None else min_lr
    decay_steps = max(1, num_training_steps - num_warmup_steps)
    rest = CosineDecay(decay_steps, base_lr, end, end_at="total", past_end="continue", offset=1, num_cycles=num_cycles)
    if warmup_lr_rate is None:
        warmup = LinearWarmup(num_warmup_steps, 0.0, base_lr)
    else:
        warmup = LinearWarmup(max(1, num_warmup_steps - 1), base_lr * warmup_lr_rate, base_lr, offset=0)
    return warmup.then(rest, at=num_warmup_steps)


WARMUPS = {"linear": LinearWarmup, "cosine": CosineWarmup, "1-sqrt": SqrtWarmup}


def wsd(
    base_lr: float,
    num_warmup_steps: int,
    num_decay_steps: int,
    num_training_steps: int | None = None,
    num_stable_steps: int | None = None,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    min_lr_ratio: float = 0.0,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
) -> Schedule:
    stable = num_stable_steps
    if stable is None:
        stable = (num_training_steps or 0) - num_warmup_steps - num_decay_steps
    low = base_lr * min_lr_ratio
    match decay_type:
        case "linear":
            decay: Schedule = LinearDecay(num_decay_steps, base_lr, low, end_at="total")
        case "cosine":
            decay = CosineDecay(num_decay_steps, base_lr, low, end_at="total", num_cycles=num_cycles)
        case _:
            decay = Cooldown(num_decay_steps, base_lr, low, end_at="total", shape_name="sqrt")
    flat_until = num_warmup_steps + stable
    rest = Constant(factor=base_lr).then(decay.then(Constant(factor=low)), at=max(0, flat_until))
    warmup = WARMUPS[warmup_type](num_warmup_steps, low, base_lr, offset=0)
    return warmup.then(rest, clock="global")


SCHEDULES: dict[str, Callable[..., Any]] = {
    "get_constant_schedule": resumable(constant),
    "get_constant_schedule_with_warmup": resumable(constant_with_warmup),
    "get_linear_schedule_with_warmup": resumable(linear),
    "get_cosine_schedule_with_warmup": resumable(cosine),
    "get_cosine_with_hard_restarts_schedule_with_warmup": resumable(cosine_with_hard_restarts),
    "get_polynomial_decay_schedule_with_warmup": resumable(polynomial),
    "get_inverse_sqrt_schedule": resumable(inverse_sqrt),
    "get_cosine_with_min_lr_schedule_with_warmup": resumable(cosine_with_min_lr),
    "get_cosine_with_min_lr_schedule_with_warmup_lr_rate": resumable(cosine_with_min_lr_rate),
    "get_wsd_schedule": resumable(wsd),
}
