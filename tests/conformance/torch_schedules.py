"""torch.optim.lr_scheduler, made of lrscope's schedules: a function per scheduler, with the scheduler's own signature.

All give the absolute rate: the peer's rates enter as start and end factors of a peak of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chains import chained, sequential
from expressions import function_of, is_constant, resumed, table_of

from lrscope.schedules import (
    Constant,
    CosineDecay,
    CosineRestarts,
    Cyclic,
    ExponentialDecay,
    InverseSqrtDecay,
    LinearDecay,
    LinearWarmup,
    MultiStepDecay,
    OneCycle,
    PiecewiseConstant,
    PolynomialDecay,
    Schedule,
    StepDecay,
    reduce_on_plateau,
)


def step_lr(base_lr: float, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> Any:
    return resumed(base_lr * StepDecay(step_size, gamma), last_epoch)


def multi_step_lr(base_lr: float, milestones: Sequence[int], gamma: float = 0.1, last_epoch: int = -1) -> Any:
    return resumed(base_lr * MultiStepDecay(tuple(sorted(milestones)), gamma), last_epoch)


def constant_lr(base_lr: float, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1) -> Any:
    low = base_lr * factor
    if total_iters <= 0:  # the step that would lift the factor is never met
        return Constant(factor=low)
    return resumed(PiecewiseConstant((total_iters,), (low, base_lr)), last_epoch)


def linear_lr(
    base_lr: float,
    start_factor: float = 1 / 3,
    end_factor: float = 1.0,
    total_iters: int = 5,
    last_epoch: int = -1,
) -> Any:
    start, end = base_lr * start_factor, base_lr * end_factor
    if total_iters <= 0:
        return Constant(factor=start)
    return resumed(LinearWarmup(total_iters, start, end, offset=0), last_epoch)


def exponential_lr(base_lr: float, gamma: float, last_epoch: int = -1) -> Any:
    return resumed(base_lr * ExponentialDecay(gamma), last_epoch)


def polynomial_lr(base_lr: float, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> Any:
    if total_iters <= 0:
        return Constant(factor=base_lr)
    return resumed(PolynomialDecay(total_iters, base_lr, end_at="total", power=power), last_epoch)


def cosine_annealing_lr(base_lr: float, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> Any:
    return resumed(CosineDecay(T_max, base_lr, eta_min, end_at="total", past_end="continue"), last_epoch)


def cosine_annealing_warm_restarts(
    base_lr: float, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
) -> Any:
    restarts = CosineRestarts(T_0, T_mult, start_factor=base_lr, end_factor=eta_min, end_at="total")
    return resumed(restarts, last_epoch)


def one_cycle_lr(
    base_lr: float,
    max_lr: float,
    total_steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    cycle_momentum: bool = True,
    base_momentum: float = 0.85,
    max_momentum: float = 0.95,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
    last_epoch: int = -1,
    quantity: str = "lr",
) -> Any:
    total = total_steps if total_steps is not None else (epochs or 0) * (steps_per_epoch or 0)
    peak = max_lr
    if quantity == "momentum":  # falls to its base where the rate peaks, and comes back
        peak, div_factor, final_div_factor = base_momentum, base_momentum / max_momentum, 1.0
    cycle = OneCycle(total, pct_start, anneal_strategy, div_factor, final_div_factor, three_phase, "continue")
    return resumed(peak * cycle, last_epoch)


def cyclic_lr(
    base_lr: float,
    max_lr: float,
    step_size_up: int = 2000,
    step_size_down: int | None = None,
    mode: str = "triangular",
    gamma: float = 1.0,
    scale_fn: Any = None,
    scale_mode: str = "cycle",
    cycle_momentum: bool = True,
    base_momentum: float = 0.8,
    max_momentum: float = 0.9,
    last_epoch: int = -1,
    quantity: str = "lr",
    last_step: int = 0,
) -> Any:
    scale: Schedule | None = None
    by = "step" if scale_mode == "iterations" else "cycle"
    if scale_fn is not None:
        asked = function_of(scale_fn)
        first = 0 if by == "step" else 1  # torch counts cycles from one
        period = 1 if by == "step" else step_size_up + (step_size_down or step_size_up)
        scale = table_of(lambda number: asked(number + first), int((last_step + last_epoch + 1) // period) + 1)
    low, high = (max_momentum, base_momentum) if quantity == "momentum" else (base_lr, max_lr)
    mode = "triangular" if scale is not None else mode
    return resumed(Cyclic(step_size_up, step_size_down, low, high, mode, gamma, scale, by), last_epoch)


def lambda_lr(base_lr: float, lr_lambda: Any, last_epoch: int = -1, last_step: int = 0) -> Any:
    return resumed(base_lr * table_of(function_of(lr_lambda), last_step + last_epoch + 1), last_epoch)


def noam(
    base_lr: float, d_model: int, warmup: int, lr_lambda: str = "", last_epoch: int = -1, last_step: int = 0
) -> Any:
    peak = base_lr * d_model**-0.5 * warmup**-0.5
    return resumed(peak * LinearWarmup(warmup).then(InverseSqrtDecay(warmup, elapsed=warmup + 1)), last_epoch)


def multiplicative_lr(base_lr: float, lr_lambda: Any, last_epoch: int = -1, last_step: int = 0) -> Any:
    factor = function_of(lr_lambda)
    if is_constant(lr_lambda):
        return resumed(base_lr * ExponentialDecay(factor(0)), last_epoch)
    rates = [base_lr]
    while len(rates) <= last_step:
        rates.append(rates[-1] * factor(len(rates) + last_epoch + 1))
    return table_of(lambda step: rates[step], last_step)


def reduce_lr_on_plateau(
    base_lr: float,
    metrics: Sequence[float],
    mode: str = "min",
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    threshold_mode: str = "rel",
    cooldown: int = 0,
    min_lr: float = 0.0,
    eps: float = 1e-8,
) -> Any:
    return base_lr * reduce_on_plateau(
        metrics,
        factor=factor,
        patience=patience,
        cooldown=cooldown,
        mode=mode,
        threshold=threshold,
        threshold_mode=threshold_mode,
        min_factor=min_lr / base_lr,
        least_change=eps / base_lr,
    )


def swa_lr(
    base_lr: float, swa_lr: float, anneal_epochs: int = 10, anneal_strategy: str = "cos", last_epoch: int = -1
) -> Any:
    family = CosineDecay if anneal_strategy == "cos" else LinearDecay
    return resumed(family(anneal_epochs, base_lr, swa_lr, end_at="total"), last_epoch)


SCHEDULES: dict[str, Callable[..., Any]] = {
    "StepLR": step_lr,
    "MultiStepLR": multi_step_lr,
    "ConstantLR": constant_lr,
    "LinearLR": linear_lr,
    "ExponentialLR": exponential_lr,
    "PolynomialLR": polynomial_lr,
    "CosineAnnealingLR": cosine_annealing_lr,
    "CosineAnnealingWarmRestarts": cosine_annealing_warm_restarts,
    "OneCycleLR": one_cycle_lr,
    "OneCycleLR.momentum": one_cycle_lr,
    "CyclicLR": cyclic_lr,
    "CyclicLR.momentum": cyclic_lr,
    "LambdaLR": lambda_lr,
    "LambdaLR.noam": noam,
    "MultiplicativeLR": multiplicative_lr,
    "ReduceLROnPlateau": reduce_lr_on_plateau,
    "SWALR": swa_lr,
}


def sequential_lr(
    base_lr: float, schedulers: Sequence[Any], milestones: Sequence[int], last_epoch: int = -1, last_step: int = 0
) -> Any:
    return sequential(SCHEDULES, base_lr, schedulers, milestones, last_step)


def chained_scheduler(base_lr: float, schedulers: Sequence[Any], optimizer: Any = None, last_step: int = 0) -> Any:
    return chained(SCHEDULES, base_lr, schedulers, last_step)


SCHEDULES |= {"SequentialLR": sequential_lr, "ChainedScheduler": chained_scheduler}
