"""PyTorch's optimizers for a stack of members, each at its own learning rate.

Everything is done in place, or in memory that is kept: a stack's temporary results are large enough for the allocator
to fetch them from the system anew at every update, which would take longer than the arithmetic.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lrscope.study.engines.base import NotStackable

Tensors = list[torch.Tensor]
FloatArray = NDArray[np.float64]


class StackedOptimizer(ABC):
    """Updates (members, …) parameters in place; what it remembers has the same shapes.

    Arguments:
        settings: the options of a parameter group of the optimizer it stands for, common to all members.
    """

    options: frozenset[str]
    """The options it follows; any other must be off."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings
        self.updates = 0
        self.memory: dict[str, Tensors] = {}

    def step(self, parameters: Tensors, gradients: Tensors, lr: FloatArray) -> None:
        """One update.

        Arguments:
            parameters, gradients: (members, …) each. lr: (members,) the learning rates of this update.
        """
        self.updates += 1
        if self.settings.get("maximize"):
            gradients = self._copied("ascent", gradients)
            torch._foreach_neg_(gradients)
        self._step(parameters, gradients, lr)

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with some members only: (kept,) their rows."""
        for name, tensors in self.memory.items():
            self.memory[name] = [tensor.index_select(0, rows) for tensor in tensors]

    @abstractmethod
    def _step(self, parameters: Tensors, gradients: Tensors, lr: FloatArray) -> None: ...

    def _remember(self, name: str, like: Tensors) -> Tensors:
        """What is remembered under a name: zeros at first."""
        if name not in self.memory:
            self.memory[name] = [torch.zeros_like(tensor) for tensor in like]
        return self.memory[name]

    def _copied(self, name: str, tensors: Tensors) -> Tensors:
        """A copy that may be written to, in memory that is kept."""
        copy = self._remember(name, tensors)
        torch._foreach_copy_(copy, tensors)
        return copy

    def _decayed(self, parameters: Tensors, gradients: Tensors) -> Tensors:
        """The gradients with that of weight decay, ½λ‖θ‖², in them."""
        if not self.settings["weight_decay"]:
            return gradients
        decayed = self._copied("decayed", gradients)
        torch._foreach_add_(decayed, parameters, alpha=self.settings["weight_decay"])
        return decayed


class StackedSGD(StackedOptimizer):
    """`torch.optim.SGD`: momentum, dampening, Nesterov, weight decay."""

    options = frozenset({"momentum", "dampening", "weight_decay", "nesterov", "maximize"})

    def _step(self, parameters: Tensors, gradients: Tensors, lr: FloatArray) -> None:
        momentum = self.settings["momentum"]
        gradients = self._decayed(parameters, gradients)
        if momentum:
            buffer = self._remember("momentum", gradients)
            if self.updates == 1:
                torch._foreach_copy_(buffer, gradients)
            else:
                torch._foreach_mul_(buffer, momentum)
                torch._foreach_add_(buffer, gradients, alpha=1 - self.settings["dampening"])
            if self.settings["nesterov"]:
                gradients = self._copied("direction", gradients)
                torch._foreach_add_(gradients, buffer, alpha=momentum)
            else:
                gradients = buffer
        _descend(parameters, gradients, lr)


class StackedAdam(StackedOptimizer):
    """`torch.optim.Adam`; with `decoupled_weight_decay`, `torch.optim.AdamW`."""

    options = frozenset({"betas", "eps", "weight_decay", "decoupled_weight_decay", "maximize"})

    def _step(self, parameters: Tensors, gradients: Tensors, lr: FloatArray) -> None:
        beta1, beta2 = (float(beta) for beta in self.settings["betas"])
        if self.settings.get("decoupled_weight_decay"):
            _shrink(parameters, 1 - lr * self.settings["weight_decay"])
        else:
            gradients = self._decayed(parameters, gradients)
        first, second = self._remember("first", gradients), self._remember("second", gradients)
        torch._foreach_lerp_(first, gradients, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, gradients, gradients, 1 - beta2)
        # √(v / c) + ε with both sides times √c, where c corrects the bias of v
        correction = (1 - beta2**self.updates) ** 0.5
        direction = self._copied("direction", second)
        torch._foreach_sqrt_(direction)
        torch._foreach_add_(direction, self.settings["eps"] * correction)
        torch._foreach_reciprocal_(direction)
        torch._foreach_mul_(direction, first)
        _descend(parameters, direction, lr * correction / (1 - beta1**self.updates))


class StackedRMSprop(StackedOptimizer):
    """`torch.optim.RMSprop`, also centred and with momentum."""

    options = frozenset({"alpha", "eps", "weight_decay", "momentum", "centered", "maximize"})

    def _step(self, parameters: Tensors, gradients: Tensors, lr: FloatArray) -> None:
        alpha, momentum = self.settings["alpha"], self.settings["momentum"]
        gradients = self._decayed(parameters, gradients)
        square = self._remember("square", gradients)
        torch._foreach_mul_(square, alpha)
        torch._foreach_addcmul_(square, gradients, gradients, 1 - alpha)
        direction = self._copied("direction", square)
        if self.settings["centered"]:
            mean = self._remember("mean", gradients)
            torch._foreach_lerp_(mean, gradients, 1 - alpha)
            torch._foreach_addcmul_(direction, mean, mean, -1)
        torch._foreach_sqrt_(direction)
        torch._foreach_add_(direction, self.settings["eps"])
        torch._foreach_reciprocal_(direction)
        torch._foreach_mul_(direction, gradients)
        if momentum:
            buffer = self._remember("momentum", gradients)
            torch._foreach_mul_(buffer, momentum)
            torch._foreach_add_(buffer, direction)
            direction = buffer
        _descend(parameters, direction, lr)


class StackedLion(StackedOptimizer):
    """Lion (Chen 2023, arXiv 2302.06675, program 1): the sign of an average, its weight decay decoupled."""

    options = frozenset({"betas", "weight_decay", "maximize"})

    def _step(self, parameters: Tensors, gradients: Tensors, lr: FloatArray) -> None:
        beta1, beta2 = (float(beta) for beta in self.settings["betas"])
        if self.settings["weight_decay"]:
            _shrink(parameters, 1 - lr * self.settings["weight_decay"])
        average = self._remember("average", gradients)
        direction = self._copied("direction", average)
        torch._foreach_lerp_(direction, gradients, 1 - beta1)
        for tensor in direction:
            tensor.sign_()
        _descend(parameters, direction, lr)
        torch._foreach_lerp_(average, gradients, 1 - beta2)


class StackedGroups:
    """The optimizer of a stack: each parameter group with its own options and its own peak learning rates.

    Arguments:
        optimizers: one for each member, as the task makes them: alike but for the learning rates.
        parameters: of the first one's model, in the order that the stack keeps them in.

    Raises:
        NotStackable: an optimizer, or an option of one, that has no stacked twin.
    """

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], parameters: Sequence[torch.Tensor]) -> None:
        place = {id(parameter): index for index, parameter in enumerate(parameters)}
        self._groups: list[tuple[StackedOptimizer, list[int]]] = []
        for number, group in enumerate(optimizers[0].param_groups):
            settings = _settings(group)
            if any(_settings(other.param_groups[number]) != settings for other in optimizers[1:]):
                raise NotStackable("its optimizer's options depend on the learning rate")
            indices = [place[id(parameter)] for parameter in group["params"] if id(parameter) in place]
            self._groups.append((make_stacked(optimizers[0], settings), indices))
        self._peaks = np.array([[float(group["lr"]) for group in one.param_groups] for one in optimizers]).T

    def step(self, parameters: Tensors, gradients: Tensors, shares: FloatArray) -> None:
        """One update at (members,) shares of the peak learning rates."""
        for (optimizer, indices), peaks in zip(self._groups, self._peaks, strict=True):
            optimizer.step([parameters[i] for i in indices], [gradients[i] for i in indices], peaks * shares)

    @property
    def memory(self) -> Tensors:
        """All that the optimizers remember, (members, …) each."""
        kept = [tensors for optimizer, _ in self._groups for tensors in optimizer.memory.values()]
        return [tensor for tensors in kept for tensor in tensors]

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with some members only: (kept,) their rows."""
        self._peaks = self._peaks[:, rows.cpu().numpy()]
        for optimizer, _ in self._groups:
            optimizer.keep(rows)


def make_stacked(optimizer: torch.optim.Optimizer, settings: Mapping[str, Any]) -> StackedOptimizer:
    """The stacked twin of an optimizer for a parameter group with these options.

    Raises:
        NotStackable: there is none, or an option is on that it does not follow.
    """
    name = type(optimizer).__name__
    twin = _TWINS.get(name)
    if twin is None or (name != "Lion" and type(optimizer) is not getattr(torch.optim, name)):
        raise NotStackable(f"its optimizer {name} has no stacked form")
    strange = [option for option, value in settings.items() if option not in twin.options and value]
    if strange:
        raise NotStackable(f"its optimizer {name} has the option '{strange[0]}', which has no stacked form")
    if name == "AdamW":
        settings = {**settings, "decoupled_weight_decay": True}
    return twin(settings)


_TWINS: dict[str, type[StackedOptimizer]] = {
    "SGD": StackedSGD,
    "Adam": StackedAdam,
    "AdamW": StackedAdam,
    "RMSprop": StackedRMSprop,
    "Lion": StackedLion,
}

_HOW = frozenset({"params", "lr", "initial_lr", "foreach", "fused", "capturable", "differentiable"})


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    """What a group's updates depend on, besides the learning rate."""
    return {name: value for name, value in group.items() if name not in _HOW}


def _descend(parameters: Tensors, direction: Tensors, lr: FloatArray) -> None:
    """θ ← θ − η · direction."""
    for parameter, vector, rate in zip(parameters, direction, _columns(lr, parameters), strict=True):
        parameter.addcmul_(vector, rate, value=-1)


def _shrink(parameters: Tensors, factors: FloatArray) -> None:
    """θ ← factor · θ."""
    torch._foreach_mul_(parameters, _columns(factors, parameters))


def _columns(values: FloatArray, like: Iterable[torch.Tensor]) -> Tensors:
    """(members,) values as tensors (members, 1, …) that broadcast over each parameter."""
    column: torch.Tensor | None = None
    columns = []
    for tensor in like:
        if column is None or column.dtype != tensor.dtype:
            column = torch.from_numpy(values).to(tensor.device, tensor.dtype)
        columns.append(column.view(-1, *[1] * (tensor.dim() - 1)))
    return columns
