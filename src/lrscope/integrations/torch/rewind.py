"""Divergence inside a loop: how it is seen, and the way back to the last good state in memory."""

from __future__ import annotations

import copy
import math
import statistics
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from lrscope.diagnosis.shape import LARGEST

FEWEST_STEPS = 8


class DivergenceWatch:
    """Sees that a run diverges: a loss that is not finite, or five whose median is far above the start.

    Far: by more than twice what the run had gained, or half of the first loss where it had gained little.
    """

    def __init__(self) -> None:
        self.lowest = math.inf
        self._first: float | None = None

    def diverging(self, losses: array[float]) -> bool:
        """Whether the last of the losses says so."""
        value = losses[-1]
        if not abs(value) < LARGEST:
            return True
        if len(losses) >= FEWEST_STEPS:
            if self._first is None:
                self._first = statistics.median(losses[:3])
            limit = self._first + 2.0 * max(self._first - self.lowest, 0.25 * abs(self._first))
            if value > limit and statistics.median(losses[-5:]) > limit:
                return True
        self.lowest = min(self.lowest, value)
        return False


@dataclass(frozen=True, kw_only=True, eq=False)
class _State:
    """Weights, buffers and the optimizer's state after so many steps; `trained` are the weights' own tensors."""

    length: int
    trained: list[Tensor]
    weights: list[Tensor]
    buffers: list[Tensor]
    optimizer: dict[str, Any]


class Rewinder:
    """Keeps the start and the last two states of a run in memory.

    The newest may be lost already, since a state's loss is known only from the steps after it: the way back goes to the
    one before it.
    """

    def __init__(self, optimizer: Optimizer, model: torch.nn.Module | None) -> None:
        self._optimizer, self._model = optimizer, model
        self._states: list[_State] = []

    @property
    def empty(self) -> bool:
        """Whether nothing is kept yet."""
        return not self._states

    def keep(self, length: int) -> None:
        """Keep the present state, which comes after so many steps of the record."""
        trained = parameters(self._optimizer)
        state = _State(
            length=length,
            trained=trained,
            weights=[p.detach().clone() for p in trained],
            buffers=[b.detach().clone() for b in self._buffers()],
            optimizer=copy.deepcopy(self._optimizer.state_dict()),
        )
        self._states = [*self._states[:1], *self._states[1:][-1:], state]

    def back(self) -> int:
        """Put the last good state in place, the learning rates excepted; returns after how many steps it was.

        Where the optimizer has been given more parameters since, its own state (momentum) begins anew.
        """
        self._states = self._states[: max(1, len(self._states) - 1)]
        state = self._states[-1]
        rates = [group["lr"] for group in self._optimizer.param_groups]
        if _sizes(self._optimizer.state_dict()) == _sizes(state.optimizer):
            self._optimizer.load_state_dict(copy.deepcopy(state.optimizer))
        else:
            self._optimizer.state.clear()
        with torch.no_grad():
            for parameter, weight in zip(state.trained, state.weights, strict=True):
                parameter.copy_(weight)
        self._put_back(state.buffers)
        for group, rate in zip(self._optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        return state.length

    @contextmanager
    def buffers_kept(self) -> Iterator[None]:
        """Put the model's buffers back afterwards: a forward pass moves running means."""
        kept = [b.detach().clone() for b in self._buffers()]
        try:
            yield
        finally:
            self._put_back(kept)

    def _put_back(self, kept: list[Tensor]) -> None:
        with torch.no_grad():
            for buffer, value in zip(self._buffers(), kept, strict=True):
                buffer.copy_(value)

    def _buffers(self) -> list[Tensor]:
        return list(self._model.buffers()) if self._model is not None else []


def _sizes(state: dict[str, Any]) -> list[int]:
    """How many parameters each group of an optimizer's state has."""
    return [len(group["params"]) for group in state["param_groups"]]


def parameters(optimizer: Optimizer) -> list[Tensor]:
    """The weights that an optimizer trains."""
    return [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
