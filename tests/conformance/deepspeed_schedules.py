"""DeepSpeed's schedules, made of lrscope's, each with the class's own signature.

DeepSpeed counts batch iterations: the rate at iteration t is that after t + 1 calls of `step()`, at −1 that of
construction.
So each function makes a schedule of the calls, 0, 1, 2, …, and gives it as one of the iterations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lrscope.schedules import (
    Constant,
    CosineDecay,
    Cyclic,
    InverseTimeDecay,
    LinearDecay,
    LinearGrowth,
    LinearWarmup,
    LogWarmup,
    PiecewiseConstant,
    Schedule,
)


def by_iteration(by_call: Schedule, last_batch_iteration: int = -1) -> Callable[[Any], Any]:
    """A schedule of the calls made, as one of DeepSpeed's iterations."""
    return lambda iteration: by_call(iteration + 1 + last_batch_iteration + 1)


def _warmup(steps: int, low: float, high: float, kind: str) -> Schedule:
    """The warm-up of at least two steps: its logarithm counts from one, its line from zero."""
    steps = max(2, steps)
    return LinearWarmup(steps, low, high, offset=0) if kind == "linear" else LogWarmup(steps, low, high)


def warmup_lr(
    base_lr: float,
    warmup_min_lr: float = 0.0,
    warmup_max_lr: float | None = None,
    warmup_num_steps: int = 1000,
    warmup_type: str = "log",
    last_batch_iteration: int = -1,
) -> Any:
    low, high = warmup_min_lr, base_lr if warmup_max_lr is None else warmup_max_lr
    return by_iteration(Constant(1, low).then(_warmup(warmup_num_steps, low, high, warmup_type)), last_batch_iteration)


def warmup_decay_lr(
    base_lr: float,
    total_num_steps: int,
    warmup_min_lr: float = 0.0,
    warmup_max_lr: float = 0.001,
    warmup_num_steps: int = 1000,
    warmup_type: str = "log",
    last_batch_iteration: int = -1,
) -> Any:
    low, high = warmup_min_lr, base_lr if warmup_max_lr is None else warmup_max_lr
    warmup = _warmup(warmup_num_steps, low, high, warmup_type)
    decay = LinearDecay(max(0, total_num_steps - int(warmup.length or 0)), high, low, end_at="total")
    return by_iteration(Constant(1, low).then(warmup).then(decay), last_batch_iteration)


def warmup_cosine_lr(
    base_lr: float,
    total_num_steps: int,
    warmup_min_ratio: float = 0.0,
    warmup_num_steps: int = 1000,
    cos_min_ratio: float = 0.0001,
    warmup_type: str = "log",
    last_batch_iteration: int = -1,
) -> Any:
    warmup = _warmup(warmup_num_steps, base_lr * warmup_min_ratio, base_lr, warmup_type)
    decay_steps = max(1, total_num_steps - int(warmup.length or 0))
    decay = CosineDecay(decay_steps, base_lr, base_lr * cos_min_ratio, end_at="total", offset=1)
    return by_iteration(Constant(1, 0.0).then(warmup).then(decay), last_batch_iteration)


def lr_range_test(
    base_lr: float,
    lr_range_test_min_lr: float = 1e-3,
    lr_range_test_step_size: int = 2000,
    lr_range_test_step_rate: float = 1.0,
    lr_range_test_staircase: bool = False,
    last_batch_iteration: int = -1,
) -> Any:
    growth = LinearGrowth(lr_range_test_step_size, lr_range_test_step_rate, lr_range_test_staircase)
    return by_iteration(lr_range_test_min_lr * growth, last_batch_iteration)


def one_cycle(
    cycle_min_lr: float,
    cycle_max_lr: float,
    base_lr: float = 0.0,
    decay_lr_rate: float = 0.0,
    cycle_first_step_size: int = 2000,
    cycle_second_step_size: int | None = None,
    cycle_first_stair_count: int = 0,
    cycle_second_stair_count: int | None = None,
    decay_step_size: int = 0,
    cycle_momentum: bool = True,
    cycle_min_mom: float = 0.8,
    cycle_max_mom: float = 0.9,
    decay_mom_rate: float = 0.0,
    last_batch_iteration: int = -1,
    quantity: str = "lr",
) -> Any:
    momentum = quantity == "momentum"
    low, high = (cycle_max_mom, cycle_min_mom) if momentum else (cycle_min_lr, cycle_max_lr)
    first = cycle_first_step_size
    second = first if cycle_second_step_size is None else cycle_second_step_size
    stairs = cycle_first_stair_count, cycle_second_stair_count
    up, down = (stairs[0], stairs[0] if stairs[1] is None else stairs[1])
    rate = decay_mom_rate if momentum else decay_lr_rate
    rest: Schedule = Constant(factor=low)
    if decay_step_size and rate:
        rest = low * (LinearGrowth if momentum else InverseTimeDecay)(decay_step_size, rate)
    smooth = Cyclic(first, second, low, high)
    rising = _stairs(first, up, low, high, first_edge=1) if up else smooth
    falling = _stairs(second, down, high, low, first_edge=0) if down else smooth
    cycle = rising.then(falling, at=first, clock="local" if down else "global", boundary="earlier")
    whole = cycle.then(rest, at=first + second)
    if momentum:  # at construction it is the lowest, not the one that the cycle begins with
        whole = Constant(1, cycle_min_mom).then(whole, clock="global")
    return by_iteration(whole, last_batch_iteration)


def _stairs(steps: int, count: int, start: float, end: float, first_edge: int) -> Schedule:
    """So many equal stairs from start to end: each at the end of its steps, or (first edge 0) at their beginning."""
    edges = tuple(steps * k / count for k in range(first_edge, count + first_edge))
    values = tuple(start * (1 - k / count) + end * (k / count) for k in range(count + 1))  # exact at both ends
    return PiecewiseConstant(edges, values, boundary="later" if first_edge else "earlier")


SCHEDULES: dict[str, Callable[..., Any]] = {
    "WarmupLR": warmup_lr,
    "WarmupDecayLR": warmup_decay_lr,
    "WarmupCosineLR": warmup_cosine_lr,
    "LRRangeTest": lr_range_test,
    "OneCycle": one_cycle,
}
