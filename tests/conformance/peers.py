"""The other frameworks at work: `run(case)` gives their own values at the steps of a case."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from expressions import function_of, read_call


def run(case: dict[str, Any]) -> list[float]:
    """What the peer itself gives at the case's steps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return RUNNERS[case["peer"]](case)


def _optimizer(lr: float) -> Any:
    import torch

    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.9)


def _walk(case: dict[str, Any], optimizer: Any, advance: Callable[[int], None]) -> list[float]:
    """The value before each step up to the last one asked."""
    key = "momentum" if case.get("quantity") == "momentum" else "lr"
    seen = {}
    for step in range(max(case["steps"]) + 1):
        seen[step] = float(optimizer.param_groups[0][key])
        if step < max(case["steps"]):
            optimizer.step()
            advance(step)
    return [seen[step] for step in case["steps"]]


def _torch_scheduler(optimizer: Any, name: str, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
    import torch

    schedulers = torch.optim.lr_scheduler
    family = getattr(torch.optim.swa_utils if name == "SWALR" else schedulers, name)
    functions = {"lr_lambda", "scale_fn"}
    named = {key: function_of(value) if key in functions and value else value for key, value in named.items()}
    if name in ("LambdaLR", "MultiplicativeLR"):
        positional = tuple(function_of(value) for value in positional)
    if name in ("SequentialLR", "ChainedScheduler"):
        members = [_torch_scheduler(optimizer, *read_call(written)) for written in named.pop("schedulers")]
        return family(optimizer, members, **named) if name == "SequentialLR" else family(members)
    return family(optimizer, *positional, **named)


def run_torch(case: dict[str, Any]) -> list[float]:
    params = dict(case["params"])
    name = case["name"].split(".")[0]
    optimizer = _optimizer(params["base_lr"])
    if name != "CyclicLR":
        params.pop("base_lr")
    metrics = params.pop("metrics", [])
    scheduler = _torch_scheduler(optimizer, name, (), params)
    if name == "ReduceLROnPlateau":
        return _walk(case, optimizer, lambda step: scheduler.step(metrics[step]))
    return _walk(case, optimizer, lambda step: scheduler.step())


def run_transformers(case: dict[str, Any]) -> list[float]:
    from transformers import optimization

    params = dict(case["params"])
    optimizer = _optimizer(params.pop("base_lr"))
    if "last_epoch" in params:
        optimizer.param_groups[0]["initial_lr"] = optimizer.param_groups[0]["lr"]
    scheduler = getattr(optimization, case["name"])(optimizer, **params)
    return _walk(case, optimizer, lambda step: scheduler.step())


def run_optax(case: dict[str, Any]) -> list[float]:
    import jax
    import optax

    def made(name: str, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        arguments = dict(named)
        if "boundaries_and_scales" in arguments:
            scales = arguments["boundaries_and_scales"] or {}
            arguments["boundaries_and_scales"] = {int(step): scale for step, scale in scales.items()}
        if name == "join_schedules":
            arguments["schedules"] = [made(*read_call(written)) for written in arguments["schedules"]]
        return getattr(optax, name)(*positional, **arguments)

    with jax.enable_x64(True):
        schedule = made(case["name"], (), case["params"])
        return [float(schedule(step)) for step in case["steps"]]


def run_keras(case: dict[str, Any]) -> list[float]:
    import keras

    schedule = getattr(keras.optimizers.schedules, case["name"])(**case["params"])
    return [float(schedule(step)) for step in case["steps"]]


def run_timm(case: dict[str, Any]) -> list[float]:
    from timm import scheduler as schedulers

    params = dict(case["params"])
    optimizer = _optimizer(params.pop("base_lr"))
    scheduler = getattr(schedulers, case["name"])(optimizer, **params)
    values = []
    for step in case["steps"]:
        (scheduler.step if params.get("t_in_epochs", True) else scheduler.step_update)(step)
        values.append(float(optimizer.param_groups[0]["lr"]))
    return values


RUNNERS: dict[str, Callable[[dict[str, Any]], list[float]]] = {
    "torch": run_torch,
    "transformers": run_transformers,
    "optax": run_optax,
    "keras": run_keras,
    "timm": run_timm,
}
