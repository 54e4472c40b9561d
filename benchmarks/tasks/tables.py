"""Tables, the bundled ones of scikit-learn and planted ones: classes or a number from a row of measurements."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from task_data import split, standardised
from torch import nn

from lrscope.study.task import Task


def breast_cancer() -> Task:
    """569 tumours, 30 measurements (scikit-learn): a tanh MLP, binary cross-entropy, SGD with momentum."""
    from sklearn.datasets import load_breast_cancer

    inputs, targets = load_breast_cancer(return_X_y=True)
    train, validation = split(standardised(inputs), torch.tensor(targets, dtype=torch.float32))
    return Task(
        name="breast-cancer",
        model=lambda: nn.Sequential(nn.Linear(30, 32), nn.Tanh(), nn.Linear(32, 1), nn.Flatten(0)),
        loss=F.binary_cross_entropy_with_logits,
        train=train,
        validation=validation,
        optimizer="sgd",
        epochs=16,
        batch_sizes=(4, 16, 64),
    )


def diabetes() -> Task:
    """442 patients, 10 measurements (scikit-learn): an MLP, squared error, Adam; no validation data."""
    from sklearn.datasets import load_diabetes

    inputs, targets = load_diabetes(return_X_y=True)
    return Task(
        name="diabetes",
        model=lambda: nn.Sequential(
            nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1), nn.Flatten(0)
        ),
        loss=F.mse_loss,
        train=(standardised(inputs), standardised(targets)),
        optimizer=lambda parameters, lr: torch.optim.Adam(parameters, lr=lr),
        epochs=15,
        batch_sizes=(8, 32, 128),
    )


def wine() -> Task:
    """178 wines, 13 measurements (scikit-learn): a wide MLP with dropout, cross-entropy, SGD without momentum."""
    from sklearn.datasets import load_wine

    inputs, targets = load_wine(return_X_y=True)
    train, validation = split(standardised(inputs), torch.tensor(targets))
    return Task(
        name="wine",
        model=lambda: nn.Sequential(
            nn.Linear(13, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 3)
        ),
        loss=F.cross_entropy,
        train=train,
        validation=validation,
        optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr),
        epochs=24,
        batch_sizes=(4, 12, 36),
    )


def iris_width() -> Task:
    """A petal's width by the iris's other measurements and its species (scikit-learn): an MLP, SGD with momentum."""
    from sklearn.datasets import load_iris

    inputs, species = load_iris(return_X_y=True)
    known = torch.cat([standardised(inputs[:, :3]), F.one_hot(torch.tensor(species), 3).float()], 1)
    train, validation = split(known, standardised(inputs[:, 3]))
    return Task(
        name="iris-width",
        model=lambda: nn.Sequential(
            nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 1), nn.Flatten(0)
        ),
        loss=F.mse_loss,
        train=train,
        validation=validation,
        optimizer="sgd",
        epochs=20,
        batch_sizes=(4, 12, 40),
    )


def friedman() -> Task:
    """Friedman's first function of ten inputs (scikit-learn), noisy: a LayerNorm MLP, Huber loss, AdamW."""
    from sklearn.datasets import make_friedman1

    inputs, targets = make_friedman1(n_samples=2000, noise=1.0, random_state=0)
    train, validation = split(standardised(inputs), standardised(targets))
    return Task(
        name="friedman",
        model=lambda: nn.Sequential(
            nn.Linear(10, 48), nn.LayerNorm(48), nn.ReLU(),
            nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 1), nn.Flatten(0),
        ),
        loss=F.smooth_l1_loss,
        train=train,
        validation=validation,
        optimizer="adamw",
        epochs=8,
        batch_sizes=(16, 64, 256),
    )  # fmt: skip


def teacher_student() -> Task:
    """A planted network's noisy outputs, a wider student, squared error, Nesterov momentum; a budget in examples."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(4000, 24, generator=generator)
    first, second = torch.randn(24, 8, generator=generator), torch.randn(8, generator=generator)
    targets = torch.tanh(inputs @ first / math.sqrt(24)) @ second + 0.3 * torch.randn(4000, generator=generator)
    train, validation = split(inputs, targets)
    return Task(
        name="teacher-student",
        model=lambda: nn.Sequential(nn.Linear(24, 64), nn.Tanh(), nn.Linear(64, 1), nn.Flatten(0)),
        loss=F.mse_loss,
        train=train,
        validation=validation,
        optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, momentum=0.9, nesterov=True),
        examples=24_000,
        batch_sizes=(16, 64, 256),
    )


def flipped_labels() -> Task:
    """600 points of 20 measurements in three classes, 15 % mislabelled (scikit-learn): an MLP, SGD with momentum."""
    from sklearn.datasets import make_classification

    inputs, targets = make_classification(
        n_samples=600, n_features=20, n_informative=8, n_redundant=4, n_classes=3, flip_y=0.15, class_sep=1.6,
        random_state=0,
    )  # fmt: skip
    train, validation = split(standardised(inputs), torch.tensor(targets))
    return Task(
        name="flipped-labels",
        model=lambda: nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3)),
        loss=F.cross_entropy,
        train=train,
        validation=validation,
        optimizer="sgd",
        epochs=30,
        batch_sizes=(8, 32, 120),
    )


def spiral_arms() -> Task:
    """Which of three spiral arms a point of the plane is on: a plain ReLU MLP of seven layers, SGD with momentum."""
    draw = np.random.default_rng(8)
    labels, radius = draw.integers(0, 3, 1500), draw.uniform(0.2, 1.5, 1500)
    angle = 3.2 * radius + 2 * np.pi / 3 * labels + 0.25 * draw.standard_normal(1500)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    train, validation = split(torch.tensor(points, dtype=torch.float32), torch.tensor(labels))
    return Task(
        name="spiral-arms",
        model=lambda: nn.Sequential(
            nn.Linear(2, 32), nn.ReLU(),
            *(layer for _ in range(5) for layer in (nn.Linear(32, 32), nn.ReLU())),
            nn.Linear(32, 3),
        ),
        loss=F.cross_entropy,
        train=train,
        validation=validation,
        optimizer="sgd",
        epochs=20,
        batch_sizes=(16, 64, 200),
    )  # fmt: skip
