"""Tasks that fail while they train, each in its own way."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from lrscope.study.task import Task

MARK_FILE = "MARK"


def _task(loss: object = F.mse_loss, model: object = None) -> Task:
    inputs = torch.arange(384.0).reshape(96, 4) / 384
    return Task(
        name="failing",
        model=model or (lambda: nn.Linear(4, 1)),  # type: ignore[arg-type]
        loss=loss,  # type: ignore[arg-type]
        train=(inputs, inputs[:, :1]),
        epochs=4,
        batch_sizes=(8, 32),
    )


def raises_in_training() -> Task:
    """Raises once the weights have moved."""
    start: list[float] = []

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if outputs.requires_grad:
            start.append(1.0)
        if len(start) > 5:
            1 / 0  # noqa: B018
        return F.mse_loss(outputs, targets)

    return _task(loss)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dies_once() -> Task:
    """Kills its process in mid-trial, the first time only."""

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if outputs.requires_grad and not Path(MARK_FILE).exists():
            Path(MARK_FILE).touch()
            _kill()
        return F.mse_loss(outputs, targets)

    return _task(loss)


def dies_always() -> Task:
    """Kills its process whenever it trains."""

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if outputs.requires_grad:
            _kill()
        return F.mse_loss(outputs, targets)

    return _task(loss)


def sleeps() -> Task:
    """Trains at once for one seed, and takes ten minutes an update for the others."""
    quick: list[torch.Tensor] = []

    def model() -> nn.Module:
        made = nn.Linear(4, 1)
        quick[:] = [made.weight.detach().clone()]
        return made

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if outputs.requires_grad and not torch.equal(quick[0], _first_weights()):
            time.sleep(600)
        return F.mse_loss(outputs, targets)

    return _task(loss, model)


def _first_weights() -> torch.Tensor:
    from lrscope.study.seeding import WEIGHTS, isolated_rng, stream_seed

    with isolated_rng(stream_seed(0, WEIGHTS)):
        return nn.Linear(4, 1).weight.detach()


def prints() -> Task:
    """Prints while it is loaded and while it trains."""
    print("a user's own words")  # noqa: T201
    return _task(lambda outputs, targets: print("more of them") or F.mse_loss(outputs, targets))  # type: ignore[func-returns-value]  # noqa: T201


print("a user's own words at import")  # noqa: T201


def slow() -> Task:
    """Takes some tenths of a second a trial."""

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        time.sleep(0.002 if outputs.requires_grad else 0)
        return F.mse_loss(outputs, targets)

    return _task(loss)
