"""Small images: digits and drawn shapes, recognised, compared or compressed."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from task_data import digit_images, order, split
from torch import nn

from lrscope.study.task import Task


def autoencoder() -> Task:
    """The digits through a bottleneck of 12, squared error, RMSprop."""
    images = digit_images()
    return Task(
        name="autoencoder",
        model=lambda: nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 12), nn.Linear(12, 64), nn.Sigmoid()),
        loss=F.mse_loss,
        train=(images[360:], images[360:]),
        validation=(images[:360], images[:360]),
        optimizer=lambda parameters, lr: torch.optim.RMSprop(parameters, lr=lr),
        epochs=12,
        batch_sizes=(16, 64, 256),
    )


def batchnorm_cnn() -> Task:
    """Odd against even digits, a strided CNN with BatchNorm, label smoothing, SGD with momentum and weight decay."""
    from sklearn.datasets import load_digits

    images = digit_images().reshape(-1, 1, 8, 8)
    labels = torch.tensor(load_digits().target % 2)[order(1797)]
    return Task(
        name="batchnorm-cnn",
        model=lambda: nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Flatten(), nn.Linear(64, 2),
        ),
        loss=lambda outputs, targets: F.cross_entropy(outputs, targets, label_smoothing=0.1),
        train=(images[360:], labels[360:]),
        validation=(images[:360], labels[:360]),
        optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, momentum=0.9, weight_decay=5e-4),
        epochs=8,
        batch_sizes=(16, 48, 144),
    )  # fmt: skip


def drawn_shapes() -> Task:
    """Which of six shapes is drawn in a noisy image: a plain CNN of three layers, SGD with momentum."""
    draw, count, side = np.random.default_rng(7), 1500, 14
    labels = draw.integers(0, 6, count)
    across, down = np.meshgrid(np.arange(side), np.arange(side))
    centre, radius = draw.uniform(4.5, 8.5, (2, count, 1, 1)), draw.uniform(2.5, 4.5, (count, 1, 1))
    x, y = abs(across - centre[0]) / radius, abs(down - centre[1]) / radius
    distance, square = np.hypot(x, y), np.maximum(x, y) < 1
    disc, ring, diamond = distance < 1, abs(distance - 0.8) < 0.25, x + y < 1.2
    plus, cross = square & (np.minimum(x, y) < 0.3), square & (abs(x - y) < 0.35)
    shapes = np.stack([disc, ring, diamond, square, plus, cross])
    images = shapes[labels, np.arange(count)] + 0.3 * draw.standard_normal((count, side, side))
    train, validation = split(torch.tensor(images[:, None], dtype=torch.float32), torch.tensor(labels))
    return Task(
        name="drawn-shapes",
        model=lambda: nn.Sequential(
            nn.Conv2d(1, 12, 3, stride=2), nn.ReLU(), nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(24, 24, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 32), nn.ReLU(), nn.Linear(32, 6),
        ),
        loss=F.cross_entropy,
        train=train,
        validation=validation,
        optimizer="sgd",
        epochs=10,
        batch_sizes=(16, 48, 144),
    )  # fmt: skip


def digit_pairs() -> Task:
    """Which of two digits side by side is the greater, or neither: an MLP-mixer with LayerNorm, AdamW."""
    from sklearn.datasets import load_digits

    images, digits = digit_images().reshape(-1, 8, 8), torch.tensor(load_digits().target)[order(1797)]
    left, right = torch.randint(0, 1797, (2, 1800), generator=torch.Generator().manual_seed(12))
    greater = 1 + (digits[left] - digits[right]).sign()
    train, validation = split(torch.cat([images[left], images[right]], 2), greater)
    return Task(
        name="digit-pairs",
        model=_Mixer,
        loss=F.cross_entropy,
        train=train,
        validation=validation,
        optimizer="adamw",
        epochs=8,
        batch_sizes=(16, 48, 144),
    )


class _Mixer(nn.Module):
    """Two blocks that mix eight patches of 4×4 pixels, then their 32 channels."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.patch, self.output = nn.Linear(16, width), nn.Linear(width, 3)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.mixers = nn.ModuleList(
            nn.Sequential(nn.Linear(size, 2 * size), nn.GELU(), nn.Linear(2 * size, size)) for size in (8, width) * 2
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 8, 16) pixels -> (B, 3) logits."""
        x = self.patch(images.unflatten(2, (4, 4)).unflatten(1, (2, 4)).transpose(2, 3).flatten(3).flatten(1, 2))
        for across_patches, norm, mixer in zip((True, False) * 2, self.norms, self.mixers, strict=True):
            normed = norm(x)
            x = x + (mixer(normed.transpose(1, 2)).transpose(1, 2) if across_patches else mixer(normed))
        return self.output(x.mean(1))
