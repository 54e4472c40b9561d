"""A Dataset whose images are augmented, a model with BatchNorm, and an optimizer of your own.

lrscope study examples/dataset.py:task
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import Dataset

import lrscope


class ShiftedDigits(Dataset):
    """Handwritten digits; with `augment`, each is moved by up to a pixel whenever it is looked at."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor, augment: bool = False) -> None:
        self.images, self.labels, self.augment = images, labels, augment

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = self.images[index]
        if self.augment:
            down, right = torch.randint(-1, 2, (2,)).tolist()
            image = image.roll((down, right), dims=(1, 2))
        return image, self.labels[index]


def make_model() -> nn.Module:
    """A CNN for 8×8 images."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.1), nn.Linear(128, 10),
    )  # fmt: skip


def make_optimizer(parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Nesterov momentum, with weight decay for the weights but not for biases and norms."""
    parameters = list(parameters)
    weights = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups = [{"params": weights, "weight_decay": 5e-4}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True)


def task() -> lrscope.Task:
    """Handwritten digits, augmented."""
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32).unsqueeze(1) / 16
    labels = torch.tensor(data.target)
    return lrscope.Task(
        name="shifted digits",
        model=make_model,
        loss=F.cross_entropy,
        train=ShiftedDigits(images[:1400], labels[:1400], augment=True),
        validation=ShiftedDigits(images[1400:], labels[1400:]),
        metrics={"accuracy": lambda outputs, targets: (outputs.argmax(1) == targets).float().mean()},
        optimizer=make_optimizer,
        epochs=8,
        batch_sizes=(32, 128),
    )
