"""Tasks small enough to be studied in seconds, one of each kind; workers load them by `tiny.py:function`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from lrscope.study.task import Task

EXAMPLES, FEATURES = 96, 4


def _data(examples: int = EXAMPLES, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A noisy linear map: inputs (N, 4) and targets (N, 1)."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(examples, FEATURES, generator=generator)
    targets = inputs.sum(1, keepdim=True) + 0.1 * torch.randn(examples, 1, generator=generator)
    return inputs, targets


def _labels(inputs: torch.Tensor) -> torch.Tensor:
    return (inputs.sum(1) > 0).long()


def regression(**changes: object) -> Task:
    """Linear regression on tensors under SGD with momentum."""
    settings: dict[str, object] = {
        "name": "regression",
        "model": lambda: nn.Linear(FEATURES, 1),
        "loss": F.mse_loss,
        "train": _data(),
        "validation": _data(32, seed=1),
        "epochs": 4,
        "batch_sizes": (8, 32),
    }
    return Task(**(settings | changes))  # type: ignore[arg-type]


def without_validation() -> Task:
    """The same, with nothing held out."""
    return regression(validation=None)


def batch_norm() -> Task:
    """BatchNorm and Dropout: training and evaluation differ."""
    inputs, _ = _data()
    return Task(
        name="batch norm",
        model=lambda: nn.Sequential(
            nn.Linear(FEATURES, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 2)
        ),
        loss=F.cross_entropy,
        train=(inputs, _labels(inputs)),
        validation=(inputs[:32], _labels(inputs[:32])),
        metrics={"accuracy": lambda outputs, targets: (outputs.argmax(1) == targets).float().mean()},
        optimizer="adamw",
        steps=20,
        batch_sizes=(16,),
    )


class Pairs(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """A map-style Dataset of the linear map."""

    def __init__(self) -> None:
        self.inputs, self.targets = _data()

    def __len__(self) -> int:
        return EXAMPLES

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.inputs[index], self.targets[index]


def dataset() -> Task:
    """A Dataset, and an optimizer of the user's with two groups, clipped."""

    def optimizer(parameters: list[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        weight, bias = parameters
        return torch.optim.SGD(
            [{"params": [weight]}, {"params": [bias], "lr": 0.1 * lr}], lr=lr, nesterov=True, momentum=0.8
        )

    return regression(train=Pairs(), optimizer=optimizer, clip_norm=1.0, epochs=None, examples=192)


def loader() -> Task:
    """An iterable of batches that comes in another order each time it is read."""
    return regression(train=DataLoader(TensorDataset(*_data()), batch_size=10, shuffle=True))


def unseeded() -> Task:
    """Data drawn without a seed."""
    inputs = torch.randn(EXAMPLES, FEATURES)
    return regression(train=(inputs, inputs.sum(1, keepdim=True)))


class _TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(FEATURES, 4), nn.Linear(FEATURES, 4)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"score": (self.left(left) * self.right(right)).sum(1)}


def dicts() -> Task:
    """Dict batches, several inputs, a dict of outputs."""
    inputs, targets = _data()
    return Task(
        name="dicts",
        model=_TwoInputs,
        batch_loss=lambda model, batch: F.mse_loss(model(batch["left"], batch["right"])["score"], batch["target"]),
        train={"left": inputs, "right": inputs.flip(0), "target": targets[:, 0]},
        epochs=2,
        batch_sizes=(16,),
    )


def bfloat16() -> Task:
    """Autocast to bfloat16."""
    return regression(precision="bfloat16", steps=12, epochs=None)


def negative() -> Task:
    """A loss below zero: the negated mean of a bounded score."""
    return regression(loss=lambda outputs, targets: -torch.exp(-F.mse_loss(outputs, targets)), validation=None)


def near_zero() -> Task:
    """A loss that is all but zero from the start."""
    inputs, _ = _data()
    return regression(loss=lambda outputs, targets: 1e-6 * F.mse_loss(outputs, targets), train=(inputs, inputs[:, :1]))


def nan_later() -> Task:
    """A loss that is not finite as soon as the weights have moved."""

    class Exploding(nn.Linear):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            moved = self.bias.detach().abs().sum() > 0
            return super().forward(inputs) * (float("nan") if moved else 1.0)

    def model() -> nn.Module:
        made = Exploding(FEATURES, 1)
        nn.init.zeros_(made.bias)
        return made

    return regression(model=model)
