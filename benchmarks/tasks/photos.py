"""Scikit-learn's two photographs: their patches recognised or cleaned, their pixels predicted."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from task_data import split
from torch import nn

from lrscope.study.task import Task


def photo_patches() -> Task:
    """Which of two photographs (scikit-learn's) a 12×12 patch is from: a plain CNN, SGD with momentum."""
    from sklearn.datasets import load_sample_images

    draw = np.random.default_rng(1)
    patches, labels = [], []
    for label, photo in enumerate(load_sample_images().images):
        pixels = photo[: photo.shape[0] // 4 * 4, : photo.shape[1] // 4 * 4].astype(np.float32)
        pixels = pixels.reshape(pixels.shape[0] // 4, 4, pixels.shape[1] // 4, 4, 3).mean((1, 3))
        for row, column in zip(
            draw.integers(0, len(pixels) - 12, 900), draw.integers(0, pixels.shape[1] - 12, 900), strict=True
        ):
            patches.append(pixels[row : row + 12, column : column + 12].transpose(2, 0, 1) / 255 - 0.5)
            labels.append(label)
    train, validation = split(torch.from_numpy(np.stack(patches)), torch.tensor(labels))
    return Task(
        name="photo-patches",
        model=lambda: nn.Sequential(
            nn.Conv2d(3, 12, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(12, 24, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(24 * 9, 2),
        ),
        loss=F.cross_entropy,
        train=train,
        validation=validation,
        optimizer="sgd",
        epochs=8,
        batch_sizes=(16, 64, 256),
    )  # fmt: skip


def photo_pixels() -> Task:
    """A photograph's colours by coordinates: Fourier features, an MLP, squared error, NAdam; a budget in steps."""
    from sklearn.datasets import load_sample_image

    photo = torch.tensor(load_sample_image("flower.jpg")[::6, ::6].copy(), dtype=torch.float32) / 255 - 0.5
    height, width, _ = photo.shape
    grid = torch.stack(torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"), -1)
    waves = grid.reshape(-1, 2) @ (4 * torch.randn(2, 24, generator=torch.Generator().manual_seed(2)))
    train, validation = split(torch.cat([waves.sin(), waves.cos()], 1), photo.reshape(-1, 3))
    return Task(
        name="photo-pixels",
        model=lambda: nn.Sequential(nn.Linear(48, 48), nn.SiLU(), nn.Linear(48, 48), nn.SiLU(), nn.Linear(48, 3)),
        loss=F.mse_loss,
        train=train,
        validation=validation,
        optimizer=lambda parameters, lr: torch.optim.NAdam(parameters, lr=lr),
        steps=600,
        batch_sizes=(16, 64, 256),
    )


def denoising_cnn() -> Task:
    """Patches of a photograph (scikit-learn's) from noisy copies: a plain CNN, squared error, SGD with momentum."""
    from sklearn.datasets import load_sample_image

    photo = load_sample_image("china.jpg")[::3, ::3].astype(np.float32).mean(2) / 255 - 0.5
    corners = np.random.default_rng(3).integers(0, np.array(photo.shape) - 10, (1600, 2))
    clean = torch.from_numpy(np.stack([photo[row : row + 10, column : column + 10] for row, column in corners]))[
        :, None
    ]
    noisy = clean + 0.2 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(4))
    train, validation = split(noisy, clean)
    return Task(
        name="denoising-cnn",
        model=lambda: nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 12, 3, padding=1), nn.ReLU(),
            nn.Conv2d(12, 1, 3, padding=1),
        ),
        loss=F.mse_loss,
        train=train,
        validation=validation,
        optimizer="sgd",
        epochs=6,
        batch_sizes=(16, 64, 256),
    )  # fmt: skip


def next_pixel() -> Task:
    """A photograph's next pixel from the sixteen before it: a residual MLP, absolute error, SGD with momentum."""
    from sklearn.datasets import load_sample_image

    photo = load_sample_image("china.jpg")[::2, ::2].astype(np.float32).mean(2) / 255 - 0.5
    draw = np.random.default_rng(6)
    rows, columns = draw.integers(0, photo.shape[0], 3000), draw.integers(0, photo.shape[1] - 17, 3000)
    strips = torch.from_numpy(2 * np.stack([photo[row, at : at + 17] for row, at in zip(rows, columns, strict=True)]))
    train, validation = split(strips[:, :16], strips[:, 16])
    return Task(
        name="next-pixel",
        model=_ResidualMLP,
        loss=F.l1_loss,
        train=train,
        validation=validation,
        optimizer="sgd",
        examples=16_000,
        batch_sizes=(32, 128, 256),
    )


class _ResidualMLP(nn.Module):
    """Two residual blocks between linear maps, (B, 16) -> (B,)."""

    def __init__(self, width: int = 40) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(16, width), nn.Linear(width, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width)) for _ in range(2)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The next value."""
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.last(x)[:, 0]
