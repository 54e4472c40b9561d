"""Short runs of a user's own model, in place, and everything put back exactly as it was."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import nn

from lrscope.errors import InvalidInput
from lrscope.schedules.text import parse_schedule
from lrscope.study.data import move
from lrscope.study.engines.record import CHECK_EVERY, divergence
from lrscope.study.load import run_user_code
from lrscope.study.seeding import preserved_rng
from lrscope.study.short_runs import SCHEDULE, Branch, ShortRun

JUDGED_BATCHES = 16
"""A run is judged by its mean loss in eval mode over so many batches, the first that are read."""


class LiveModel:
    """A model and its optimizer, lent for short runs; on leaving the context both are what they were on entering."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        batches: Iterable[Any],
        loss: Callable[[Any, Any], torch.Tensor] | None,
        batch_loss: Callable[[nn.Module, Any], torch.Tensor] | None,
    ) -> None:
        if (loss is None) == (batch_loss is None):
            raise InvalidInput("find_lr needs either 'loss', (outputs, targets) -> scalar, or 'batch_loss'.")
        parameter = next(model.parameters(), None)
        if parameter is None:
            raise InvalidInput(f"The model of find_lr must have parameters. Got {type(model).__name__} without any.")
        self.model = model
        self.optimizer = optimizer
        self.batch_size: int | None = None
        self._device = parameter.device
        self._loss = loss
        self._batch_loss = batch_loss
        self._source = batches
        self._batches: list[Any] = []
        self._lent: Any = None

    def __enter__(self) -> LiveModel:
        self._lent = unchanged(self.model, self.optimizer)
        self._lent.__enter__()
        try:
            self._begin()
        except BaseException:
            self._lent.__exit__(None, None, None)
            raise
        return self

    def _begin(self) -> None:
        self._start = _Snapshot(self.model, self.optimizer)
        self._peaks = [float(group["lr"]) for group in self.optimizer.param_groups]
        if not self._peaks[0] > 0:
            raise InvalidInput(f"The optimizer's learning rate must be > 0. Got {self._peaks[0]:g}.")
        self._reading = self._read_on()
        self._read(JUDGED_BATCHES)
        if not self._batches:
            raise InvalidInput("The 'batches' of find_lr must give at least one batch.")
        self.batch_size = _examples_of(self._batches[0])
        self._initial = self._judge()
        if not math.isfinite(self._initial):
            raise InvalidInput(f"The loss must be finite before the first update. Got {self._initial}.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lent.__exit__(None, None, None)
        self._batches.clear()

    @property
    def can_cut(self) -> bool:
        """Whether a batch is known to be examples side by side, so that a part of it is a batch too."""
        return self._loss is not None and all(
            torch.is_tensor(part) and part.ndim and len(part) == self.batch_size for part in self._batches[0]
        )

    def run(self, run: ShortRun) -> Branch:
        """Train from the start with the whole schedule compressed into the run's updates."""
        self._start.restore()
        shares = parse_schedule(SCHEDULE, total_steps=run.steps)(np.arange(run.steps))
        self.model.train()
        losses: list[float] = []
        for step in range(run.steps):
            for group, peak in zip(self.optimizer.param_groups, self._peaks, strict=True):
                group["lr"] = 2.0**run.octave * peak / self._peaks[0] * float(shares[step])
            self.optimizer.zero_grad(set_to_none=True)
            loss = self._loss_of(self._batch(step, run.batch_size))
            run_user_code("The backward pass", loss.backward)
            self.optimizer.step()
            losses.append(float(loss.detach()))
            checked = step % CHECK_EVERY == CHECK_EVERY - 1 or step == run.steps - 1
            if checked and divergence(np.array(losses), run.steps) is not None:
                return self._branch(run, math.inf, step + 1)
        return self._branch(run, self._judge(), run.steps)

    def _branch(self, run: ShortRun, loss: float, updates: int) -> Branch:
        loss = loss if math.isfinite(loss) else math.inf
        return Branch(run=run, loss=loss, initial_loss=self._initial, examples=updates * run.batch_size)

    def _batch(self, step: int, size: int) -> Any:
        """The batch of an update: one that was read, or where `size` is less than theirs the next part of one."""
        parts = (self.batch_size or size) // size
        self._read(step // parts + 1)
        batch = self._batches[step // parts % len(self._batches)]
        if parts == 1:
            return batch
        start = step % parts * size % max(1, len(batch[0]) - size + 1)  # a loader's last batch may be shorter
        return tuple(part[start : start + size] for part in batch)

    def _read(self, count: int) -> None:
        """Read on until `count` batches are there, or no more come: then they are used again."""
        for batch in itertools.islice(self._reading, max(count - len(self._batches), 0)):
            self._batches.append(move(batch, self._device))

    def _read_on(self) -> Iterator[Any]:
        """Pass after pass, until one gives nothing: an iterator, say, which is read only once."""
        read = True
        while read:
            read = False
            for batch in self._source:
                read = True
                yield batch

    def _loss_of(self, batch: Any) -> torch.Tensor:
        if self._batch_loss is not None:
            loss = run_user_code("The 'batch_loss'", self._batch_loss, self.model, batch)
        else:
            if not (isinstance(batch, (tuple, list)) and len(batch) == 2):
                raise InvalidInput(f"With 'loss', a batch must be (inputs, targets). Got {type(batch).__name__}.")
            outputs = run_user_code("The model", self.model, batch[0])
            loss = run_user_code("The 'loss'", self._loss, outputs, batch[1])
        if not torch.is_tensor(loss) or loss.numel() != 1:
            raise InvalidInput(f"The loss must be a scalar tensor. Got {type(loss).__name__}.")
        return loss

    @torch.no_grad()
    def _judge(self) -> float:
        self.model.eval()
        return float(np.mean([float(self._loss_of(batch)) for batch in self._batches[:JUDGED_BATCHES]]))


class _Snapshot:
    """Weights, buffers (those that are not saved too) and the optimizer's state."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._tensors = [(tensor, tensor.detach().clone()) for tensor in _tensors_of(model)]
        self._state = copy.deepcopy(optimizer.state_dict())

    @torch.no_grad()
    def restore(self) -> None:
        for tensor, saved in self._tensors:
            tensor.copy_(saved)
        self._optimizer.load_state_dict(copy.deepcopy(self._state))


@contextmanager
def unchanged(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Put back weights, buffers, gradients, modes, the optimizer and all random numbers, whatever happens inside."""
    snapshot = _Snapshot(model, optimizer)
    modes = [(module, module.training) for module in model.modules()]
    gradients = [(p, None if p.grad is None else p.grad.detach().clone(), p.grad) for p in model.parameters()]
    with preserved_rng():
        try:
            yield
        finally:
            snapshot.restore()
            for parameter, saved, tensor in gradients:
                parameter.grad = tensor
                if tensor is not None and saved is not None:
                    with torch.no_grad():
                        tensor.copy_(saved)
            for module, mode in modes:
                module.training = mode


def _tensors_of(model: nn.Module) -> Iterator[torch.Tensor]:
    yield from model.parameters()
    yield from model.buffers()


def _examples_of(batch: Any) -> int | None:
    """The first dimension of the first tensor of a batch."""
    if torch.is_tensor(batch):
        return len(batch) if batch.ndim else None
    values = batch.values() if isinstance(batch, dict) else batch if isinstance(batch, (tuple, list)) else ()
    return next((size for size in map(_examples_of, values) if size is not None), None)
