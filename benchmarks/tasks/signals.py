"""Sequences of numbers: waves, images read row by row, numbers to be remembered."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from task_data import digit_images, order, split
from torch import nn

from lrscope.study.task import Task


def waves() -> Task:
    """Which of five shapes a noisy wave has: a 1-D CNN with GroupNorm, cross-entropy, Nesterov momentum."""
    draw = np.random.default_rng(5)
    labels = draw.integers(0, 5, 1500)
    phase = draw.uniform(1, 5, (1500, 1)) * np.linspace(0, 2 * np.pi, 64) + draw.uniform(0, 2 * np.pi, (1500, 1))
    turn = phase / (2 * np.pi) % 1
    shapes = np.stack([np.sin(phase), np.sign(np.sin(phase)), 2 * turn - 1, 1 - 2 * turn, 4 * abs(turn - 0.5) - 1])
    signals = shapes[labels, np.arange(1500)] + 0.3 * draw.standard_normal((1500, 64))
    train, validation = split(torch.tensor(signals[:, None], dtype=torch.float32), torch.tensor(labels))
    return Task(
        name="waves",
        model=lambda: nn.Sequential(
            nn.Conv1d(1, 16, 7, stride=2), nn.GroupNorm(4, 16), nn.ReLU(), nn.Conv1d(16, 24, 5, stride=2), nn.ReLU(),
            nn.AdaptiveAvgPool1d(4), nn.Flatten(), nn.Linear(96, 5),
        ),
        loss=F.cross_entropy,
        train=train,
        validation=validation,
        optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, momentum=0.9, nesterov=True),
        epochs=10,
        batch_sizes=(16, 48, 128),
    )  # fmt: skip


def row_gru() -> Task:
    """The digits read row by row: a GRU, cross-entropy, Adam, clipped gradients."""
    from sklearn.datasets import load_digits

    rows, labels = digit_images().reshape(-1, 8, 8), torch.tensor(load_digits().target)[order(1797)]
    return Task(
        name="row-gru",
        model=_RowGRU,
        loss=F.cross_entropy,
        train=(rows[360:], labels[360:]),
        validation=(rows[:360], labels[:360]),
        optimizer=lambda parameters, lr: torch.optim.Adam(parameters, lr=lr),
        clip_norm=1.0,
        epochs=8,
        batch_sizes=(16, 48, 144),
    )


def marked_sum() -> Task:
    """The sum of the two marked numbers among twelve: an LSTM, squared error, Adam, clipped gradients."""
    generator, count = torch.Generator().manual_seed(10), 4000
    numbers = torch.rand(count, 12, generator=generator)
    places = torch.rand(count, 12, generator=generator).topk(2).indices
    marks = torch.zeros(count, 12).scatter(1, places, 1.0)
    targets = 2 * (numbers * marks).sum(1) - 2 + 0.1 * torch.randn(count, generator=generator)
    train, validation = split(torch.stack([numbers, marks], 2), targets)
    return Task(
        name="marked-sum",
        model=_MarkedSumLSTM,
        loss=F.mse_loss,
        train=train,
        validation=validation,
        optimizer=lambda parameters, lr: torch.optim.Adam(parameters, lr=lr),
        clip_norm=1.0,
        examples=20_000,
        batch_sizes=(24, 80, 240),
    )


class _RowGRU(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.reader, self.output = nn.GRU(8, 32, batch_first=True), nn.Linear(32, 10)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(B, 8, 8) rows of an image -> (B, 10) logits."""
        return self.output(self.reader(rows)[0][:, -1])


class _MarkedSumLSTM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.reader, self.output = nn.LSTM(2, 32, batch_first=True), nn.Linear(32, 1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(B, 12, 2) numbers and marks -> (B,) their sum."""
        return self.output(self.reader(rows)[0][:, -1])[:, 0]
