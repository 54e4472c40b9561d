"""The simplest task: tensors, a model and a loss.

lrscope study examples/tensors.py:task
"""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_breast_cancer
from torch import nn

import lrscope


def task() -> lrscope.Task:
    """Benign or malignant, from 30 measurements of 569 real tumours."""
    data = load_breast_cancer()
    inputs = torch.tensor(data.data, dtype=torch.float32)
    targets = torch.tensor(data.target)
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
    train, validation = order[:450], order[450:]
    inputs = (inputs - inputs[train].mean(0)) / inputs[train].std(0)
    return lrscope.Task(
        name="tumours",
        model=lambda: nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 2)),
        loss=F.cross_entropy,
        train=(inputs[train], targets[train]),
        validation=(inputs[validation], targets[validation]),
        metrics={"accuracy": lambda outputs, targets: (outputs.argmax(1) == targets).float().mean()},
        optimizer="sgd",
        epochs=20,
        batch_sizes=(8, 32, 128),
    )
