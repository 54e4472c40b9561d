"""Handwritten digits: the 1,797 real 8×8 images that scikit-learn ships."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from lrscope.errors import MissingExtra
from lrscope.study.task import Task

Tensors = tuple[torch.Tensor, torch.Tensor]


def digits() -> Task:
    """A small CNN under SGD with momentum: the task of the demo."""
    train, validation = _split()
    return Task(
        name="digits",
        model=_cnn,
        loss=F.cross_entropy,
        train=train,
        validation=validation,
        metrics={"accuracy": accuracy},
        optimizer="sgd",
        epochs=20,
        batch_sizes=(16, 64, 256),
    )


def digits_adamw() -> Task:
    """An MLP with dropout under AdamW on the same images."""
    train, validation = _split()
    return Task(
        name="digits-adamw",
        model=_mlp,
        loss=F.cross_entropy,
        train=train,
        validation=validation,
        metrics={"accuracy": accuracy},
        optimizer="adamw",
        epochs=20,
        batch_sizes=(16, 64, 256),
    )


def accuracy(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The share of examples whose largest output is the target."""
    return (outputs.argmax(1) == targets).float().mean()


def _cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.1), nn.Linear(128, 10))


def _split() -> tuple[Tensors, Tensors]:
    """Training and validation images [N, 1, 8, 8] in [0, 1] and their labels: one in five held out, at random."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingExtra("scikit-learn", "study") from None
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32).unsqueeze(1) / 16
    labels = torch.tensor(data.target, dtype=torch.int64)
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(labels)))
    held_out = len(labels) // 5
    train, validation = order[held_out:], order[:held_out]
    return (images[train], labels[train]), (images[validation], labels[validation])
