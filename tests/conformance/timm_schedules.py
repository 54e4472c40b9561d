"""timm's schedulers, made of lrscope's schedules, each with the scheduler's own signature.

The step is timm's t: of `step(t)` where it counts epochs (`t_in_epochs`), of `step_update(t)` where it counts updates.
Noise is drawn as timm draws it, from a generator seeded with the seed plus t, and multiplies the schedule as a table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from expressions import table_of

from lrscope.schedules import (
    CosineDecay,
    CosineRestarts,
    LinearWarmup,
    MultiStepDecay,
    PolynomialDecay,
    Schedule,
    StepDecay,
    TanhDecay,
)
from lrscope.schedules.decay import Decay


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What all of timm's schedulers take: the warm-up and the noise around the schedule itself."""

    warmup_t: int
    warmup_lr_init: float
    warmup_prefix: bool
    noise_range_t: int | Sequence[int] | None
    noise_pct: float
    noise_std: float
    noise_seed: int | None
    last_step: int

    def around(self, rates: Schedule, warm_to: float) -> Schedule:
        """The warm-up, the schedule on its own clock (prefix) or on the run's, and the noise."""
        clock = "local" if self.warmup_prefix else "global"
        if self.warmup_t:
            warmup = LinearWarmup(self.warmup_t, self.warmup_lr_init, warm_to, offset=0)
            rates = warmup.then(rates, clock=clock)
        return rates if self.noise_range_t is None else rates * table_of(self.noisy, self.last_step)

    def noisy(self, t: int) -> float:
        """What the noise multiplies by at t."""
        import torch

        bounds = self.noise_range_t
        if isinstance(bounds, Sequence):
            inside = bounds[0] <= t < bounds[1]
        else:
            inside = bounds is not None and t >= bounds
        if not inside:
            return 1.0
        generator = torch.Generator()
        generator.manual_seed((42 if self.noise_seed is None else self.noise_seed) + t)
        while True:
            noise = torch.randn(1, generator=generator).item() * self.noise_std
            if abs(noise) < self.noise_pct:
                return 1.0 + noise


def cycles(
    decay: Decay,
    base_lr: float,
    t_initial: int,
    lr_min: float,
    cycle_mul: float,
    cycle_decay: float,
    cycle_limit: int,
) -> Schedule:
    """So many cycles of a decay, then the lowest rate."""
    return CosineRestarts(
        t_initial,
        cycle_mul,
        cycles=cycle_limit,
        cycle_decay=cycle_decay,
        start_factor=base_lr,
        end_factor=lr_min,
        end_at="total",
        decay=decay,
    )


def cosine(
    base_lr: float,
    t_initial: int,
    lr_min: float = 0.0,
    cycle_mul: float = 1.0,
    cycle_decay: float = 1.0,
    cycle_limit: int = 1,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    warmup_prefix: bool = False,
    t_in_epochs: bool = True,
    noise_range_t: int | Sequence[int] | None = None,
    noise_pct: float = 0.67,
    noise_std: float = 1.0,
    noise_seed: int | None = 42,
    k_decay: float = 1.0,
    initialize: bool = True,
    last_step: int = 0,
) -> Schedule:
    decay = CosineDecay(1, k_decay=k_decay)
    rates = cycles(decay, base_lr, t_initial, lr_min, cycle_mul, cycle_decay, cycle_limit)
    return _frame(locals()).around(rates, base_lr)


def tanh(
    base_lr: float,
    t_initial: int,
    lb: float = -7.0,
    ub: float = 3.0,
    lr_min: float = 0.0,
    cycle_mul: float = 1.0,
    cycle_decay: float = 1.0,
    cycle_limit: int = 1,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    warmup_prefix: bool = False,
    t_in_epochs: bool = True,
    noise_range_t: int | Sequence[int] | None = None,
    noise_pct: float = 0.67,
    noise_std: float = 1.0,
    noise_seed: int | None = 42,
    initialize: bool = True,
    last_step: int = 0,
) -> Schedule:
    decay = TanhDecay(1, lower=lb, upper=ub)
    rates = cycles(decay, base_lr, t_initial, lr_min, cycle_mul, cycle_decay, cycle_limit)
    return _frame(locals()).around(rates, base_lr if warmup_prefix else rates(warmup_t))


def poly(
    base_lr: float,
    t_initial: int,
    power: float = 0.5,
    lr_min: float = 0.0,
    cycle_mul: float = 1.0,
    cycle_decay: float = 1.0,
    cycle_limit: int = 1,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    warmup_prefix: bool = False,
    t_in_epochs: bool = True,
    noise_range_t: int | Sequence[int] | None = None,
    noise_pct: float = 0.67,
    noise_std: float = 1.0,
    noise_seed: int | None = 42,
    k_decay: float = 1.0,
    initialize: bool = True,
    last_step: int = 0,
) -> Schedule:
    decay = PolynomialDecay(1, k_decay=k_decay, power=power)
    rates = cycles(decay, base_lr, t_initial, lr_min, cycle_mul, cycle_decay, cycle_limit)
    return _frame(locals()).around(rates, base_lr)


def step(
    base_lr: float,
    decay_t: float,
    decay_rate: float = 1.0,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    warmup_prefix: bool = True,
    t_in_epochs: bool = True,
    noise_range_t: int | Sequence[int] | None = None,
    noise_pct: float = 0.67,
    noise_std: float = 1.0,
    noise_seed: int | None = 42,
    initialize: bool = True,
    last_step: int = 0,
) -> Schedule:
    return _frame(locals()).around(base_lr * StepDecay(decay_t, decay_rate), base_lr)


def multi_step(
    base_lr: float,
    decay_t: Sequence[int],
    decay_rate: float = 1.0,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    warmup_prefix: bool = True,
    t_in_epochs: bool = True,
    noise_range_t: int | Sequence[int] | None = None,
    noise_pct: float = 0.67,
    noise_std: float = 1.0,
    noise_seed: int | None = 42,
    initialize: bool = True,
    last_step: int = 0,
) -> Schedule:
    milestones = tuple(max(0, milestone - 1) for milestone in decay_t)  # timm drops one t before the milestone
    return _frame(locals()).around(base_lr * MultiStepDecay(milestones, decay_rate), base_lr)


def _frame(arguments: dict[str, Any]) -> Frame:
    """The frame's part of a scheduler's arguments."""
    return Frame(**{name: arguments[name] for name in Frame.__dataclass_fields__})


SCHEDULES: dict[str, Callable[..., Any]] = {
    "CosineLRScheduler": cosine,
    "TanhLRScheduler": tanh,
    "PolyLRScheduler": poly,
    "StepLRScheduler": step,
    "MultiStepLRScheduler": multi_step,
}
