"""One update and one evaluation of a task, so that one that cannot train says so before a study begins."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from lrscope.errors import InvalidTask
from lrscope.study.bench import Bench
from lrscope.study.load import run_user_code


def check_task(bench: Bench, batch_size: int) -> None:
    """Try all that a study will ask of the task, once, at one batch size.

    Raises:
        InvalidTask: with one sentence, the user's own error in it where there is one.
    """
    name = bench.task.name
    bench.task.total_steps(batch_size, bench.train_examples)
    model = bench.make_model(0)
    if any(one is other for one, other in zip(model.parameters(), bench.make_model(0).parameters(), strict=False)):
        raise InvalidTask(
            f"The 'model' of task '{name}' must make a new model at each call: runs would share their weights."
        )
    optimizer = bench.make_optimizer(model, 1e-3)
    _check_rate_is_used(bench, optimizer, model)
    loss = _first_loss(bench, model, batch_size)
    run_user_code("The task's backward pass", loss.backward)
    run_user_code("The update of the task's optimizer", optimizer.step)
    kind, held_out = ("training", bench.train) if bench.validation is None else ("validation", bench.validation)
    few = torch.arange(min(2, len(held_out)), device=bench.device)
    first = run_user_code(f"The task's {kind} data", held_out.batch, few)
    _check_pair(bench, first)
    model.eval()
    with torch.no_grad():
        run_user_code(f"The task's loss on the {kind} data", bench.losses_and_metrics, model, first, True)


def _first_loss(bench: Bench, model: nn.Module, batch_size: int) -> torch.Tensor:
    """The loss of the first batch in training mode: a finite scalar that depends on the parameters."""
    name = bench.task.name
    rows = torch.arange(min(batch_size, bench.train_examples), device=bench.device)
    batch = run_user_code("The task's training data", bench.train.batch, rows)
    _check_pair(bench, batch)
    with bench.training_rng(0):
        model.train()
        loss = run_user_code("The task's loss", bench.batch_loss, model, batch)
    if not torch.is_tensor(loss) or loss.numel() != 1:
        got = f"a tensor of shape {tuple(loss.shape)}" if torch.is_tensor(loss) else type(loss).__name__
        raise InvalidTask(f"The loss of task '{name}' must be a scalar tensor. Got {got}.")
    if loss.is_complex():
        raise InvalidTask(f"The loss of task '{name}' must be a real number. Got {loss.dtype}.")
    if not loss.requires_grad:
        raise InvalidTask(f"The loss of task '{name}' must depend on the model's parameters.")
    if not math.isfinite(loss.item()):
        raise InvalidTask(
            f"The loss of task '{name}' must be finite before the first update. Got {loss.item()} for the first "
            f"{len(rows)} training examples: look at the model, the loss and the data."
        )
    return loss


def _check_pair(bench: Bench, batch: Any) -> None:
    if bench.task.loss is not None and not (isinstance(batch, (tuple, list)) and len(batch) == 2):
        raise InvalidTask(
            f"With 'loss', a batch of task '{bench.task.name}' must be (inputs, targets). "
            f"Got {type(batch).__name__}: give 'batch_loss' for any other kind."
        )


def _check_rate_is_used(bench: Bench, optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
    other = bench.make_optimizer(model, 2e-3)
    rates = [[group.get("lr") for group in one.param_groups] for one in (optimizer, other)]
    if rates[0] == rates[1]:
        raise InvalidTask(
            f"The 'optimizer' of task '{bench.task.name}' must use the learning rate that it is given. "
            f"Asked for 0.001 and for 0.002, its parameter groups have {rates[0]} both times."
        )
