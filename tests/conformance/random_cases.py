"""Random cases of every schedule of every peer: each parameter and mode has its turn."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Draw = random.Random
Maker = Callable[[Draw], dict[str, Any]]


def rate(draw: Draw, low: float = 1e-3, high: float = 1.0) -> float:
    return round(low + (high - low) * draw.random(), 6)


def maybe(draw: Draw, **options: Any) -> dict[str, Any]:
    """Each option or not, as the coin falls: the peer's default has its turn too."""
    return {key: value for key, value in options.items() if draw.random() < 0.6}


def _torch() -> dict[str, Maker]:
    def member(draw: Draw) -> str:
        return draw.choice(
            [
                f"LinearLR({rate(draw)}, {rate(draw)}, {draw.randint(1, 9)})",
                f"OneCycleLR({rate(draw)}, total_steps={draw.randint(50, 70)}, div_factor={rate(draw, 1, 30)})",
                f"SWALR({rate(draw)}, {draw.randint(0, 9)}, '{draw.choice(['cos', 'linear'])}')",
                f"LinearLR(start_factor={rate(draw)}, total_iters={draw.randint(1, 9)})",
                f"ConstantLR({rate(draw)}, {draw.randint(0, 6)})",
                f"ExponentialLR({rate(draw, 0.5, 1)})",
                f"StepLR({draw.randint(1, 6)}, gamma={rate(draw)})",
                f"MultiStepLR([2, {draw.randint(3, 9)}], {rate(draw)})",
                f"PolynomialLR({draw.randint(20, 40)}, power={rate(draw, 0.5, 2)})",
                f"CosineAnnealingLR({draw.randint(2, 30)})",
                f"CosineAnnealingLR({draw.randint(2, 30)}, eta_min={rate(draw, 0, 0.01)})",
                f"CosineAnnealingWarmRestarts({draw.randint(2, 5)}, T_mult={draw.randint(1, 2)})",
                f"LambdaLR(lambda epoch: {rate(draw, 0.8, 1)} ** epoch)",
                f"MultiplicativeLR(lambda epoch: {rate(draw, 0.8, 1)})",
                f"CyclicLR(0.01, 0.5, {draw.randint(1, 5)})",
            ]
        )

    def sequential(draw: Draw) -> dict[str, Any]:
        count = draw.randint(1, 4)
        milestones = sorted(draw.randint(0, 25) for _ in range(count - 1))
        return {"base_lr": rate(draw), "schedulers": [member(draw) for _ in range(count)], "milestones": milestones}

    def one_cycle(draw: Draw) -> dict[str, Any]:
        length = draw.choice([{"total_steps": draw.randint(2, 60)}, {"epochs": 3, "steps_per_epoch": 14}])
        return {"base_lr": 0.1, "max_lr": rate(draw), **length} | maybe(
            draw,
            pct_start=rate(draw, 0.1, 0.48),
            anneal_strategy=draw.choice(["cos", "linear"]),
            base_momentum=rate(draw, 0.7, 0.9),
            max_momentum=rate(draw, 0.9, 0.99),
            div_factor=rate(draw, 1, 30),
            final_div_factor=rate(draw, 1, 1e4),
            three_phase=draw.choice([True, False]),
        )

    def cyclic(draw: Draw) -> dict[str, Any]:
        return {"base_lr": rate(draw, 0.001, 0.1), "max_lr": rate(draw, 0.1, 1)} | maybe(
            draw,
            step_size_up=draw.randint(1, 9),
            step_size_down=draw.randint(1, 9),
            mode=draw.choice(["triangular", "triangular2", "exp_range"]),
            gamma=rate(draw, 0.9, 1),
            scale_fn=draw.choice(["1 / (5 ** (x * 0.0001))", "0.5 * (1 + sin(x * pi / 2))", "lambda x: 1 / x"]),
            base_momentum=rate(draw, 0.7, 0.9),
            max_momentum=rate(draw, 0.9, 0.99),
        )

    def cyclic_by_step(draw: Draw) -> dict[str, Any]:
        return cyclic(draw) | {"scale_fn": "lambda x: 0.99 ** x", "scale_mode": "iterations"}

    def plateau(draw: Draw) -> dict[str, Any]:
        mode = draw.choice(["min", "max"])
        return {"base_lr": rate(draw), "metrics": [rate(draw, -1, 2) for _ in range(80)], "mode": mode} | maybe(
            draw,
            factor=rate(draw, 0.1, 0.9),
            patience=draw.randint(0, 5),
            threshold=draw.choice([1e-4, 0.1, 0.0]),
            threshold_mode=draw.choice(["rel", "abs"]),
            cooldown=draw.randint(0, 4),
            min_lr=rate(draw, 0, 0.05),
            eps=draw.choice([1e-8, 0.01]),
        )

    return {
        "StepLR": lambda d: {"base_lr": rate(d), "step_size": d.randint(1, 12)} | maybe(d, gamma=rate(d, 0.1, 1.2)),
        "MultiStepLR": lambda d: (
            {"base_lr": rate(d), "milestones": [d.randint(0, 40) for _ in range(d.randint(1, 5))]}
            | maybe(d, gamma=rate(d, 0.1, 0.9))
        ),
        "ConstantLR": lambda d: {"base_lr": rate(d)} | maybe(d, factor=rate(d), total_iters=d.randint(0, 20)),
        "LinearLR": lambda d: (
            {"base_lr": rate(d)}
            | maybe(d, start_factor=rate(d), end_factor=rate(d), total_iters=d.randint(0, 30))
        ),
        "ExponentialLR": lambda d: {"base_lr": rate(d), "gamma": rate(d, 0.5, 1.05)},
        "PolynomialLR": lambda d: {"base_lr": rate(d)} | maybe(d, total_iters=d.randint(0, 30), power=rate(d, 0.2, 4)),
        "CosineAnnealingLR": lambda d: {"base_lr": rate(d), "T_max": d.randint(1, 30)} | maybe(d, eta_min=rate(d)),
        "CosineAnnealingWarmRestarts": lambda d: (
            {"base_lr": rate(d), "T_0": d.randint(1, 9)} | maybe(d, T_mult=d.randint(1, 3), eta_min=rate(d, 0, 0.1))
        ),
        "OneCycleLR": one_cycle,
        "OneCycleLR.momentum": one_cycle,
        "CyclicLR": lambda d: d.choice([cyclic, cyclic_by_step])(d),
        "CyclicLR.momentum": lambda d: d.choice([cyclic, cyclic_by_step])(d),
        "LambdaLR": lambda d: {"base_lr": rate(d), "lr_lambda": d.choice(["0.95 ** t", "lambda e: 1 / (1 + e)"])},
        "MultiplicativeLR": lambda d: (
            {"base_lr": rate(d), "lr_lambda": d.choice(["0.95", "lambda epoch: 0.9", "1 - 0.01 * t"])}
        ),
        "ReduceLROnPlateau": plateau,
        "SWALR": lambda d: (
            {"base_lr": rate(d), "swa_lr": rate(d)}
            | maybe(d, anneal_epochs=d.randint(0, 20), anneal_strategy=d.choice(["cos", "linear"]))
        ),
        "SequentialLR": sequential,
        "ChainedScheduler": lambda d: (
            {"base_lr": rate(d), "schedulers": [member(d) for _ in range(d.randint(1, 3))]}
        ),
    }  # fmt: skip


def _transformers() -> dict[str, Maker]:
    def resumed(draw: Draw) -> dict[str, Any]:
        return {"last_epoch": draw.randint(0, 20)} if draw.random() < 0.3 else {}

    def lengths(draw: Draw) -> dict[str, Any]:
        return {
            "base_lr": rate(draw, 0.01, 10),
            "num_warmup_steps": draw.choice([0, 1, 2, draw.randint(3, 12)]),
            "num_training_steps": draw.choice([1, draw.randint(13, 60)]),
        } | resumed(draw)

    def min_lr(draw: Draw) -> dict[str, Any]:
        low = draw.choice([{"min_lr": rate(draw, 0, 0.01)}, {"min_lr_rate": rate(draw, 0, 0.9)}])
        return lengths(draw) | low | maybe(draw, num_cycles=draw.choice([0.5, 1, 1.5, 0.3]))

    def polynomial(draw: Draw) -> dict[str, Any]:
        return lengths(draw) | {"num_training_steps": draw.randint(13, 60)} | maybe(
            draw, lr_end=rate(draw, 0, 0.005), power=draw.choice([0.0, rate(draw, 0.3, 3)])
        )  # fmt: skip

    def wsd(draw: Draw) -> dict[str, Any]:
        stable = {"num_stable_steps": draw.randint(0, 9)}
        total = {"num_training_steps": draw.randint(20, 50)}
        return {
            "base_lr": rate(draw), "num_warmup_steps": draw.randint(0, 9), "num_decay_steps": draw.randint(0, 20),
        } | draw.choice([stable, total, stable | total]) | resumed(draw) | maybe(
            draw,
            warmup_type=draw.choice(["linear", "cosine", "1-sqrt"]),
            decay_type=draw.choice(["linear", "cosine", "1-sqrt"]),
            min_lr_ratio=rate(draw, 0, 0.5),
            num_cycles=draw.choice([0.5, 1.5, 0.7]),
        )  # fmt: skip

    def bare(draw: Draw) -> dict[str, Any]:
        return {"base_lr": rate(draw), "num_warmup_steps": draw.randint(0, 12)} | resumed(draw)

    return {
        "get_constant_schedule": lambda d: {"base_lr": rate(d)},
        "get_constant_schedule_with_warmup": bare,
        "get_linear_schedule_with_warmup": lengths,
        "get_cosine_schedule_with_warmup": lambda d: lengths(d) | maybe(d, num_cycles=d.choice([0.5, 1, 2, 0.25, 1.3])),
        "get_cosine_with_hard_restarts_schedule_with_warmup": lambda d: (
            lengths(d) | maybe(d, num_cycles=d.randint(1, 5))
        ),
        "get_polynomial_decay_schedule_with_warmup": polynomial,
        "get_inverse_sqrt_schedule": lambda d: bare(d) | maybe(d, timescale=d.randint(1, 40)),
        "get_cosine_with_min_lr_schedule_with_warmup": min_lr,
        "get_cosine_with_min_lr_schedule_with_warmup_lr_rate": lambda d: (
            min_lr(d) | maybe(d, warmup_lr_rate=rate(d, 0, 0.9))
        ),
        "get_wsd_schedule": wsd,
    }


def _optax() -> dict[str, Maker]:
    def scales(draw: Draw) -> dict[str, Any]:
        steps = sorted(draw.sample(range(1, 40), draw.randint(1, 4)))
        return {"init_value": rate(draw), "boundaries_and_scales": {str(step): rate(draw, 0, 2) for step in steps}}

    def line(draw: Draw) -> dict[str, Any]:
        ends = {"init_value": rate(draw), "end_value": rate(draw, 0, 1)}
        return ends | {"transition_steps": draw.randint(0, 30)} | maybe(draw, transition_begin=draw.randint(-2, 9))

    def exponential(draw: Draw) -> dict[str, Any]:
        return {"transition_steps": draw.randint(1, 9), "decay_rate": rate(draw, 0.5, 1.2)} | maybe(
            draw,
            transition_begin=draw.randint(-2, 9),
            staircase=draw.choice([True, False]),
            end_value=rate(draw, 0.05, 1.5),
        )

    def warm(draw: Draw) -> dict[str, Any]:
        return {"init_value": rate(draw, 0, 0.2), "peak_value": rate(draw), "warmup_steps": draw.randint(0, 9)}

    def warm_cosine(draw: Draw) -> dict[str, Any]:
        ends = maybe(draw, end_value=rate(draw, 0, 0.2), exponent=rate(draw, 0.5, 2))
        return warm(draw) | {"decay_steps": draw.randint(10, 30)} | ends

    def onecycle(draw: Draw) -> dict[str, Any]:
        return {"transition_steps": draw.randint(10, 60), "peak_value": rate(draw)} | maybe(
            draw, pct_start=rate(draw, 0.1, 0.5), div_factor=rate(draw, 1, 30), final_div_factor=rate(draw, 1, 1e4)
        )

    def join(draw: Draw) -> dict[str, Any]:
        count = draw.randint(1, 4)
        phases = [
            draw.choice(
                [
                    f"linear_schedule({rate(draw)}, {rate(draw)}, {draw.randint(1, 9)})",
                    f"constant_schedule({rate(draw)})",
                    f"cosine_decay_schedule({rate(draw)}, {draw.randint(1, 20)}, alpha={rate(draw)})",
                    f"exponential_decay({rate(draw)}, {draw.randint(1, 9)}, {rate(draw)})",
                ]
            )
            for _ in range(count)
        ]
        return {"schedules": phases, "boundaries": sorted(draw.randint(0, 30) for _ in range(count - 1))}

    return {
        "constant_schedule": lambda d: {"value": rate(d)},
        "linear_schedule": line,
        "polynomial_schedule": lambda d: line(d) | {"power": d.choice([0.5, 1, 2, 3.7])},
        "piecewise_constant_schedule": scales,
        "piecewise_interpolate_schedule": lambda d: scales(d) | {"interpolate_type": d.choice(["linear", "cosine"])},
        "exponential_decay": lambda d: {"init_value": rate(d)} | exponential(d),
        "cosine_decay_schedule": lambda d: (
            {"init_value": rate(d), "decay_steps": d.randint(1, 40)} | maybe(d, alpha=rate(d), exponent=rate(d, 0.5, 3))
        ),
        "warmup_constant_schedule": warm,
        "warmup_cosine_decay_schedule": warm_cosine,
        "warmup_exponential_decay_schedule": lambda d: warm(d) | exponential(d),
        "sgdr_schedule": lambda d: {"cosine_kwargs": [warm_cosine(d) for _ in range(d.randint(1, 3))]},
        "linear_onecycle_schedule": lambda d: onecycle(d) | maybe(d, pct_final=rate(d, 0.55, 1)),
        "cosine_onecycle_schedule": onecycle,
        "join_schedules": join,
    }


def _keras() -> dict[str, Maker]:
    def stairs(draw: Draw) -> dict[str, Any]:
        return {
            "initial_learning_rate": rate(draw), "decay_steps": draw.randint(1, 20), "decay_rate": rate(draw, 0.1, 1.1),
        } | maybe(draw, staircase=draw.choice([True, False]))  # fmt: skip

    def piecewise(draw: Draw) -> dict[str, Any]:
        boundaries = sorted(draw.sample(range(40), draw.randint(1, 4)))
        return {"boundaries": boundaries, "values": [rate(draw) for _ in range(len(boundaries) + 1)]}

    return {
        "ExponentialDecay": stairs,
        "InverseTimeDecay": stairs,
        "PiecewiseConstantDecay": piecewise,
        "PolynomialDecay": lambda d: (
            {"initial_learning_rate": rate(d), "decay_steps": d.randint(1, 20)}
            | maybe(d, end_learning_rate=rate(d, 0, 0.1), power=rate(d, 0.3, 3), cycle=d.choice([True, False]))
        ),
        "CosineDecay": lambda d: (
            {"initial_learning_rate": rate(d), "decay_steps": d.randint(1, 40)}
            | maybe(d, alpha=rate(d, 0, 0.5), warmup_target=rate(d), warmup_steps=d.randint(0, 9))
        ),
        "CosineDecayRestarts": lambda d: (
            {"initial_learning_rate": rate(d), "first_decay_steps": d.randint(1, 20)}
            | maybe(d, t_mul=d.choice([1.0, 1.5, 2.0, 3.0]), m_mul=rate(d, 0.5, 1), alpha=rate(d, 0, 0.5))
        ),
    }  # fmt: skip


def _timm() -> dict[str, Maker]:
    def frame(draw: Draw) -> dict[str, Any]:
        return maybe(
            draw,
            warmup_t=draw.randint(0, 8),
            warmup_lr_init=rate(draw, 0, 0.01),
            warmup_prefix=draw.choice([True, False]),
            t_in_epochs=draw.choice([True, False]),
            noise_range_t=draw.choice([None, 5, [3, 20]]),
            noise_pct=rate(draw, 0.2, 0.9),
            noise_std=rate(draw, 0.1, 2),
            noise_seed=draw.randint(0, 99),
        )

    def cycles(draw: Draw) -> dict[str, Any]:
        return {"base_lr": rate(draw), "t_initial": draw.randint(1, 20)} | frame(draw) | maybe(
            draw,
            lr_min=rate(draw, 0, 0.01),
            cycle_mul=draw.choice([1.0, 1.5, 2.0, 3.0]),
            cycle_decay=rate(draw, 0.3, 1),
            cycle_limit=draw.randint(1, 5),
        )  # fmt: skip

    return {
        "CosineLRScheduler": lambda d: cycles(d) | maybe(d, k_decay=rate(d, 0.5, 2)),
        "TanhLRScheduler": lambda d: cycles(d) | maybe(d, lb=rate(d, -8, -2), ub=rate(d, 1, 5)),
        "PolyLRScheduler": lambda d: cycles(d) | maybe(d, power=rate(d, 0.3, 2), k_decay=rate(d, 0.5, 2)),
        "StepLRScheduler": lambda d: (
            {"base_lr": rate(d), "decay_t": d.choice([3, 7, 2.5])} | frame(d) | maybe(d, decay_rate=rate(d))
        ),
        "MultiStepLRScheduler": lambda d: (
            {"base_lr": rate(d), "decay_t": sorted(d.randint(1, 40) for _ in range(3))}
            | frame(d) | maybe(d, decay_rate=rate(d))
        ),
    }  # fmt: skip


MAKERS: dict[str, dict[str, Maker]] = {
    "torch": _torch(),
    "transformers": _transformers(),
    "optax": _optax(),
    "keras": _keras(),
    "timm": _timm(),
}


def random_case(peer: str, name: str, seed: int) -> dict[str, Any]:
    """A case with its steps: the first ones, some boundaries, some far past the end."""
    draw = random.Random(f"{peer} {name} {seed}")
    params = MAKERS[peer][name](draw)
    last = 40
    if name.startswith("OneCycleLR"):  # torch refuses to go further than the total
        last = params.get("total_steps", 42)
    if peer in ("optax", "keras", "timm"):
        last = 300
    return {
        "peer": peer,
        "name": name,
        "params": params,
        "steps": [*range(min(last, 45) + 1), *([last] if last > 45 else [])],
        "quantity": "momentum" if name.endswith(".momentum") else "lr",
    }
