"""Every stacked optimizer against its readable twin, PyTorch's own, member by member over many updates."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lrscope.study.engines.base import NotStackable
from lrscope.study.engines.stacked_optimizers import StackedGroups

MEMBERS, UPDATES = 3, 120
SHAPES = [(5, 4), (5,), ()]
RATES = np.array([0.001, 0.01, 0.1])


class Lion(torch.optim.Optimizer):
    """Lion as its paper's program 1 has it, one tensor at a time: PyTorch has none."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(parameters, {"lr": lr, "betas": (0.9, 0.99), "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                average = self.state[parameter].setdefault("average", torch.zeros_like(parameter))
                first, second = group["betas"]
                sign = torch.sign(first * average + (1 - first) * parameter.grad)
                parameter -= group["lr"] * (sign + group["weight_decay"] * parameter)
                average.copy_(second * average + (1 - second) * parameter.grad)


Maker = Callable[[list[nn.Parameter], float], torch.optim.Optimizer]

OPTIMIZERS: dict[str, Maker] = {
    "sgd": lambda parameters, lr: torch.optim.SGD(parameters, lr),
    "momentum": lambda parameters, lr: torch.optim.SGD(parameters, lr, momentum=0.9),
    "nesterov": lambda parameters, lr: torch.optim.SGD(parameters, lr, momentum=0.9, nesterov=True, weight_decay=0.1),
    "dampening": lambda parameters, lr: torch.optim.SGD(parameters, lr, momentum=0.8, dampening=0.3),
    "ascent": lambda parameters, lr: torch.optim.SGD(parameters, lr, momentum=0.5, maximize=True),
    "adam": lambda parameters, lr: torch.optim.Adam(parameters, lr),
    "adam, decay": lambda parameters, lr: torch.optim.Adam(parameters, lr, betas=(0.8, 0.95), weight_decay=0.1),
    "adamw": lambda parameters, lr: torch.optim.AdamW(parameters, lr, eps=1e-6),
    "adamw, decay": lambda parameters, lr: torch.optim.AdamW(parameters, lr, weight_decay=0.3, fused=True),
    "rmsprop": lambda parameters, lr: torch.optim.RMSprop(parameters, lr),
    "rmsprop, centred": lambda parameters, lr: torch.optim.RMSprop(
        parameters, lr, alpha=0.9, momentum=0.7, centered=True, weight_decay=0.1
    ),
    "lion": lambda parameters, lr: Lion(parameters, lr),
    "lion, decay": lambda parameters, lr: Lion(parameters, lr, weight_decay=0.1),
    "two groups": lambda parameters, lr: torch.optim.AdamW(
        [{"params": parameters[:1], "weight_decay": 0.0}, {"params": parameters[1:], "lr": 0.1 * lr}], lr
    ),
}


def members() -> list[list[nn.Parameter]]:
    """The parameters of each member, all alike at first."""
    generator = torch.Generator().manual_seed(0)
    initial = [torch.randn(shape, generator=generator) for shape in SHAPES]
    return [[nn.Parameter(tensor.clone()) for tensor in initial] for _ in range(MEMBERS)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_updates_as_pytorch_does_member_by_member(name: str) -> None:
    alone = members()
    optimizers = [OPTIMIZERS[name](one, lr) for one, lr in zip(alone, RATES, strict=True)]
    twin = StackedGroups(optimizers, alone[0])
    stacked = [torch.stack([one[i].detach().clone() for one in alone]) for i in range(len(SHAPES))]
    peaks = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    generator = torch.Generator().manual_seed(1)
    for update in range(UPDATES):
        gradients = [torch.randn(MEMBERS, *shape, generator=generator) + 0.3 for shape in SHAPES]
        shares = np.array([1.0, 1 - update / UPDATES, min(1.0, update / 20)])
        for member, optimizer in enumerate(optimizers):
            for group, peak in zip(optimizer.param_groups, peaks[member], strict=True):
                group["lr"] = peak * shares[member]
            for parameter, gradient in zip(alone[member], gradients, strict=True):
                parameter.grad = gradient[member].clone()
            optimizer.step()
        twin.step(stacked, gradients, shares)
    for member, one in enumerate(alone):
        for parameter, rows in zip(one, stacked, strict=True):
            torch.testing.assert_close(rows[member], parameter.detach(), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["momentum", "adamw", "rmsprop, centred", "lion"])
def test_members_that_leave_do_not_change_those_that_stay(name: str) -> None:
    def train(leave: bool) -> list[torch.Tensor]:
        parameters = members()
        twin = StackedGroups(
            [OPTIMIZERS[name](one, lr) for one, lr in zip(parameters, RATES, strict=True)], parameters[0]
        )
        stacked = [torch.stack([one[i].detach().clone() for one in parameters]) for i in range(len(SHAPES))]
        generator = torch.Generator().manual_seed(1)
        rows = torch.arange(MEMBERS)
        for update in range(20):
            gradients = [torch.randn(MEMBERS, *shape, generator=generator)[rows] for shape in SHAPES]
            twin.step(stacked, gradients, np.ones(len(rows)))
            if leave and update == 9:
                rows = torch.tensor([0, 2])
                stacked = [tensor[rows] for tensor in stacked]
                twin.keep(rows)
        return stacked

    for left, whole in zip(train(leave=True), train(leave=False), strict=True):
        assert torch.equal(left, whole[[0, 2]])


def test_what_has_no_stacked_form_is_refused_by_name() -> None:
    (one, *_) = members()
    for optimizer, word in (
        (torch.optim.Adagrad(one, 0.1), "Adagrad"),
        (torch.optim.Adam(one, 0.1, amsgrad=True), "amsgrad"),
    ):
        with pytest.raises(NotStackable, match=word):
            StackedGroups([optimizer], one)


def test_options_that_follow_the_learning_rate_are_refused() -> None:
    alone = members()
    optimizers = [torch.optim.AdamW(one, lr, weight_decay=lr) for one, lr in zip(alone, RATES, strict=True)]
    with pytest.raises(NotStackable, match="depend on the learning rate"):
        StackedGroups(optimizers, alone[0])


def test_a_class_that_only_shares_a_name_with_pytorchs_is_refused() -> None:
    class SGD(torch.optim.SGD):
        pass

    (one, *_) = members()
    with pytest.raises(NotStackable, match="SGD"):
        StackedGroups([SGD(one, 0.1)], one)
