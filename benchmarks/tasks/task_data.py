"""The data that several tasks are made of, and how it is split.

The tasks import it as a neighbour, `from task_data import …`: lrscope reads a task's file by its path, alone.
"""

from __future__ import annotations

import numpy as np
import torch

Tensors = tuple[torch.Tensor, torch.Tensor]


def digit_images() -> torch.Tensor:
    """The 1,797 digits in a random order that is always the same, (1797, 64) in [0, 1]."""
    from sklearn.datasets import load_digits

    return torch.tensor(load_digits().data, dtype=torch.float32)[order(1797)] / 16


def standardised(values: np.ndarray) -> torch.Tensor:
    """Values (N, …) less their mean, in standard deviations, column by column."""
    return torch.tensor((values - values.mean(0)) / values.std(0), dtype=torch.float32)


def order(count: int) -> torch.Tensor:
    """A random order of so many examples that is always the same."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))


def split(inputs: torch.Tensor, targets: torch.Tensor) -> tuple[Tensors, Tensors]:
    """Training data, and the fifth that is held out for validation, at random but always the same."""
    shuffled = order(len(inputs))
    train, validation = shuffled[len(shuffled) // 5 :], shuffled[: len(shuffled) // 5]
    return (inputs[train], targets[train]), (inputs[validation], targets[validation])
