"""Other frameworks' schedules, made of lrscope's alone: `resolve(case)` gives the value at a step.

A case is `{"peer", "name", "params", "steps", "quantity"}`. Each peer has a file beside this one with one function per
schedule, whose signature is the peer's own: its names, its order and its defaults.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # the file may be loaded by its path alone

import deepspeed_schedules
import keras_schedules
import optax_schedules
import timm_schedules
import torch_schedules
import transformers_schedules

PEERS: dict[str, dict[str, Callable[..., Any]]] = {
    "torch": torch_schedules.SCHEDULES,
    "transformers": transformers_schedules.SCHEDULES,
    "optax": optax_schedules.SCHEDULES,
    "timm": timm_schedules.SCHEDULES,
    "keras": keras_schedules.SCHEDULES,
    "DeepSpeed": deepspeed_schedules.SCHEDULES,
}


PER_GROUP = {"max_lr", "base_lr", "base_momentum", "max_momentum", "min_lr", "swa_lr", "lr_lambda"} | {
    *("warmup_min_lr", "warmup_max_lr", "lr_range_test_min_lr"),
    *("cycle_min_lr", "cycle_max_lr", "cycle_min_mom", "cycle_max_mom"),
}
"""What may be a list with an entry per param group: a case is about the first."""


def resolve(case: dict[str, Any]) -> Callable[[Any], Any]:
    """The callable (step) -> value of a case: the learning rate, or the momentum where the case asks for that.

    Raises:
        KeyError: a peer or a schedule that is not known.
        TypeError: a parameter that the peer's schedule does not take.
    """
    make = PEERS[case["peer"]][case["name"]]
    about_the_case = {"quantity": case.get("quantity", "lr"), "last_step": max([0, *case.get("steps", [1000])])}
    taken = {key: value for key, value in about_the_case.items() if key in inspect.signature(make).parameters}
    params = {
        key: value[0] if key in PER_GROUP and isinstance(value, Sequence) and not isinstance(value, str) else value
        for key, value in case["params"].items()
    }
    return make(**params, **taken)
