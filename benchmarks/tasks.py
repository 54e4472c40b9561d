"""Small training jobs that searches are measured on: they differ in data, model, loss and optimizer.

`TASKS` names them, the bundled ones included, with the range of the dense grid that is their truth. Those with
`held_out=True` are never looked at while a search is tuned: they are for the figures at the end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from lrscope.study.task import Task
from lrscope.tasks import BUNDLED
from lrscope.tasks.text import pydoc_text

Tensors = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class TruthTask:
    """A task, where it is, and the learning rates of its dense grid."""

    reference: str
    lr: tuple[float, float]
    held_out: bool = False


def _here(function: str, low: float, high: float, held_out: bool = False) -> TruthTask:
    return TruthTask(reference=f"{Path(__file__).resolve()}:{function}", lr=(low, high), held_out=held_out)


def breast_cancer() -> Task:
    """569 tumours, 30 measurements (scikit-learn): a tanh MLP, binary cross-entropy, SGD with momentum."""
    from sklearn.datasets import load_breast_cancer

    inputs, targets = load_breast_cancer(return_X_y=True)
    train, validation = _split(_standardised(inputs), torch.tensor(targets, dtype=torch.float32))
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
        train=(_standardised(inputs), _standardised(targets)),
        optimizer=lambda parameters, lr: torch.optim.Adam(parameters, lr=lr),
        epochs=15,
        batch_sizes=(8, 32, 128),
    )


def teacher_student() -> Task:
    """A planted network's noisy outputs, a wider student, squared error, Nesterov momentum; a budget in examples."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(4000, 24, generator=generator)
    first, second = torch.randn(24, 8, generator=generator), torch.randn(8, generator=generator)
    targets = torch.tanh(inputs @ first / math.sqrt(24)) @ second + 0.3 * torch.randn(4000, generator=generator)
    train, validation = _split(inputs, targets)
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


def autoencoder() -> Task:
    """The digits through a bottleneck of 12, squared error, RMSprop."""
    images = _digit_images()
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

    images = _digit_images().reshape(-1, 1, 8, 8)
    labels = torch.tensor(load_digits().target % 2)[_order(1797)]
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


def transformer_text() -> Task:
    """The next character of CPython's documentation by a one-layer transformer, AdamW, clipped gradients."""
    bundled = pydoc_text()
    (inputs, targets), validation = bundled.train, bundled.validation
    return Task(
        name="transformer-text",
        model=_Transformer,
        loss=F.cross_entropy,
        train=(inputs[::3], targets[::3]),
        validation=tuple(part[::4] for part in validation),
        optimizer="adamw",
        clip_norm=1.0,
        epochs=1,
        batch_sizes=(16, 48, 144),
    )


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
    train, validation = _split(torch.from_numpy(np.stack(patches)), torch.tensor(labels))
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
    train, validation = _split(torch.cat([waves.sin(), waves.cos()], 1), photo.reshape(-1, 3))
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


def row_gru() -> Task:
    """The digits read row by row: a GRU, cross-entropy, Adam, clipped gradients."""
    from sklearn.datasets import load_digits

    rows, labels = _digit_images().reshape(-1, 8, 8), torch.tensor(load_digits().target)[_order(1797)]
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


def wine() -> Task:
    """178 wines, 13 measurements (scikit-learn): a wide MLP with dropout, cross-entropy, SGD without momentum."""
    from sklearn.datasets import load_wine

    inputs, targets = load_wine(return_X_y=True)
    train, validation = _split(_standardised(inputs), torch.tensor(targets))
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


def denoising_cnn() -> Task:
    """Patches of a photograph (scikit-learn's) from noisy copies: a plain CNN, squared error, SGD with momentum."""
    from sklearn.datasets import load_sample_image

    photo = load_sample_image("china.jpg")[::3, ::3].astype(np.float32).mean(2) / 255 - 0.5
    corners = np.random.default_rng(3).integers(0, np.array(photo.shape) - 10, (1600, 2))
    clean = torch.from_numpy(np.stack([photo[row : row + 10, column : column + 10] for row, column in corners]))[
        :, None
    ]
    noisy = clean + 0.2 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(4))
    train, validation = _split(noisy, clean)
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


def friedman() -> Task:
    """Friedman's first function of ten inputs (scikit-learn), noisy: a LayerNorm MLP, Huber loss, AdamW."""
    from sklearn.datasets import make_friedman1

    inputs, targets = make_friedman1(n_samples=2000, noise=1.0, random_state=0)
    train, validation = _split(_standardised(inputs), _standardised(targets))
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


def module_lines() -> Task:
    """Which of eight modules of CPython 3.11's library a line of code is from: its trigrams, embedded; Adam."""
    from importlib import import_module
    from inspect import getsource

    names = ("argparse", "ast", "_pydecimal", "inspect", "ipaddress", "tarfile", "typing", "unittest.mock")
    rows, labels = [], []
    for label, name in enumerate(names):
        stripped = [line.strip().encode() for line in getsource(import_module(name)).splitlines()]
        lines = [line for line in stripped if len(line) >= 34]
        for line in lines[:300]:
            rows.append([(line[at] * 961 + line[at + 1] * 31 + line[at + 2]) % 4096 for at in range(32)])
            labels.append(label)
    train, validation = _split(torch.tensor(rows), torch.tensor(labels))
    return Task(
        name="module-lines",
        model=lambda: nn.Sequential(nn.EmbeddingBag(4096, 32), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 8)),
        loss=F.cross_entropy,
        train=train,
        validation=validation,
        optimizer=lambda parameters, lr: torch.optim.Adam(parameters, lr=lr),
        epochs=12,
        batch_sizes=(24, 80, 240),
    )


def waves() -> Task:
    """Which of five shapes a noisy wave has: a 1-D CNN with GroupNorm, cross-entropy, Nesterov momentum."""
    draw = np.random.default_rng(5)
    labels = draw.integers(0, 5, 1500)
    phase = draw.uniform(1, 5, (1500, 1)) * np.linspace(0, 2 * np.pi, 64) + draw.uniform(0, 2 * np.pi, (1500, 1))
    turn = phase / (2 * np.pi) % 1
    shapes = np.stack([np.sin(phase), np.sign(np.sin(phase)), 2 * turn - 1, 1 - 2 * turn, 4 * abs(turn - 0.5) - 1])
    signals = shapes[labels, np.arange(1500)] + 0.3 * draw.standard_normal((1500, 64))
    train, validation = _split(torch.tensor(signals[:, None], dtype=torch.float32), torch.tensor(labels))
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


def next_pixel() -> Task:
    """A photograph's next pixel from the sixteen before it: a residual MLP, absolute error, SGD with momentum."""
    from sklearn.datasets import load_sample_image

    photo = load_sample_image("china.jpg")[::2, ::2].astype(np.float32).mean(2) / 255 - 0.5
    draw = np.random.default_rng(6)
    rows, columns = draw.integers(0, photo.shape[0], 3000), draw.integers(0, photo.shape[1] - 17, 3000)
    strips = torch.from_numpy(2 * np.stack([photo[row, at : at + 17] for row, at in zip(rows, columns, strict=True)]))
    train, validation = _split(strips[:, :16], strips[:, 16])
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
    train, validation = _split(torch.tensor(images[:, None], dtype=torch.float32), torch.tensor(labels))
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


def spiral_arms() -> Task:
    """Which of three spiral arms a point of the plane is on: a plain ReLU MLP of seven layers, SGD with momentum."""
    draw = np.random.default_rng(8)
    labels, radius = draw.integers(0, 3, 1500), draw.uniform(0.2, 1.5, 1500)
    angle = 3.2 * radius + 2 * np.pi / 3 * labels + 0.25 * draw.standard_normal(1500)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    train, validation = _split(torch.tensor(points, dtype=torch.float32), torch.tensor(labels))
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


def flipped_labels() -> Task:
    """600 points of 20 measurements in three classes, 15 % mislabelled (scikit-learn): an MLP, SGD with momentum."""
    from sklearn.datasets import make_classification

    inputs, targets = make_classification(
        n_samples=600, n_features=20, n_informative=8, n_redundant=4, n_classes=3, flip_y=0.15, class_sep=1.6,
        random_state=0,
    )  # fmt: skip
    train, validation = _split(_standardised(inputs), torch.tensor(targets))
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


def marked_sum() -> Task:
    """The sum of the two marked numbers among twelve: an LSTM, squared error, Adam, clipped gradients."""
    generator, count = torch.Generator().manual_seed(10), 4000
    numbers = torch.rand(count, 12, generator=generator)
    places = torch.rand(count, 12, generator=generator).topk(2).indices
    marks = torch.zeros(count, 12).scatter(1, places, 1.0)
    targets = 2 * (numbers * marks).sum(1) - 2 + 0.1 * torch.randn(count, generator=generator)
    train, validation = _split(torch.stack([numbers, marks], 2), targets)
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


def character_names() -> Task:
    """The script, of sixteen, of a character by the end of its Unicode name: a 1-D CNN, label smoothing, AdamW."""
    from unicodedata import ucd_3_2_0

    scripts = ["LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN", "ARABIC", "DEVANAGARI", "BENGALI"]
    scripts += ["TAMIL", "THAI", "ETHIOPIC", "CHEROKEE", "TIBETAN", "MONGOLIAN", "KHMER", "MYANMAR"]
    names = [ucd_3_2_0.name(chr(code), "").split() for code in range(0x3000)]
    rows, labels = [], []
    for label, script in enumerate(scripts):
        words = sorted({" ".join(name[1:])[-14:] for name in names if name[:1] == [script]})
        for at in np.random.default_rng(9).permutation(len(words))[:60]:
            rows.append([ord(letter) % 32 for letter in words[at].rjust(14)])
            labels.append(label)
    train, validation = _split(torch.tensor(rows), torch.tensor(labels))
    return Task(
        name="character-names",
        model=_WordCNN,
        loss=lambda outputs, targets: F.cross_entropy(outputs, targets, label_smoothing=0.1),
        train=train,
        validation=validation,
        optimizer="adamw",
        epochs=24,
        batch_sizes=(16, 56, 180),
    )


class _WordCNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.filters = nn.Embedding(32, 16), nn.Conv1d(16, 48, 3, padding=1)
        self.output = nn.Sequential(nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 16))

    def forward(self, letters: torch.Tensor) -> torch.Tensor:
        """(B, 14) letters -> (B, 16) logits of the script."""
        return self.output(self.filters(self.embedding(letters).transpose(1, 2)).relu().amax(2))


class _MarkedSumLSTM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.reader, self.output = nn.LSTM(2, 32, batch_first=True), nn.Linear(32, 1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(B, 12, 2) numbers and marks -> (B,) their sum."""
        return self.output(self.reader(rows)[0][:, -1])[:, 0]


class _RowGRU(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.reader, self.output = nn.GRU(8, 32, batch_first=True), nn.Linear(32, 10)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(B, 8, 8) rows of an image -> (B, 10) logits."""
        return self.output(self.reader(rows)[0][:, -1])


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


class _Transformer(nn.Module):
    """One pre-norm block with causal attention over 16 characters; the last position predicts the next."""

    def __init__(self, vocabulary: int = 96, context: int = 16, width: int = 32) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(vocabulary, width), nn.Parameter(0.02 * torch.randn(context, width))
        self.first_norm, self.second_norm, self.last_norm = (nn.LayerNorm(width) for _ in range(3))
        self.query, self.key_value, self.mixed = (nn.Linear(width, size) for size in (width, 2 * width, width))
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.output = nn.Linear(width, vocabulary)

    def forward(self, characters: torch.Tensor) -> torch.Tensor:
        """(B, 16) characters -> (B, 96) logits of the next."""
        x = self.token(characters) + self.place
        normed = self.first_norm(x)
        query, key, value = (
            part.unflatten(2, (4, -1)).transpose(1, 2)
            for part in (self.query(normed), *self.key_value(normed).chunk(2, dim=2))
        )
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.mixed(attended.transpose(1, 2).flatten(2))
        x = x + self.feed(self.second_norm(x))
        return self.output(self.last_norm(x[:, -1]))


def _digit_images() -> torch.Tensor:
    """The 1,797 digits in a random order that is always the same, (1797, 64) in [0, 1]."""
    from sklearn.datasets import load_digits

    return torch.tensor(load_digits().data, dtype=torch.float32)[_order(1797)] / 16


def _standardised(values: np.ndarray) -> torch.Tensor:
    return torch.tensor((values - values.mean(0)) / values.std(0), dtype=torch.float32)


def _order(count: int) -> torch.Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))


def _split(inputs: torch.Tensor, targets: torch.Tensor) -> tuple[Tensors, Tensors]:
    """Training data, and the fifth that is held out for validation, at random but always the same."""
    order = _order(len(inputs))
    train, validation = order[len(order) // 5 :], order[: len(order) // 5]
    return (inputs[train], targets[train]), (inputs[validation], targets[validation])


TASKS = {
    "digits": TruthTask(reference=BUNDLED["digits"].reference, lr=(0.0005, 2)),
    "digits-adamw": TruthTask(reference=BUNDLED["digits-adamw"].reference, lr=(6e-5, 2)),
    "pydoc-text": TruthTask(reference=BUNDLED["pydoc-text"].reference, lr=(6e-5, 2)),
    "breast-cancer": _here("breast_cancer", 1e-3, 16),
    "diabetes": _here("diabetes", 6e-5, 1),
    "teacher-student": _here("teacher_student", 5e-4, 2),
    "autoencoder": _here("autoencoder", 3e-5, 0.5),
    "batchnorm-cnn": _here("batchnorm_cnn", 1e-3, 16),
    "transformer-text": _here("transformer_text", 1e-4, 1),
    "photo-patches": _here("photo_patches", 5e-4, 2),
    "photo-pixels": _here("photo_pixels", 6e-5, 1),
    "drawn-shapes": _here("drawn_shapes", 0.002, 2),
    "spiral-arms": _here("spiral_arms", 0.002, 2),
    "character-names": _here("character_names", 0.0001, 0.7),
    "flipped-labels": _here("flipped_labels", 0.0002, 2),
    "row-gru": _here("row_gru", 1e-4, 1, held_out=True),
    "wine": _here("wine", 1e-3, 4, held_out=True),
    "denoising-cnn": _here("denoising_cnn", 1e-3, 4, held_out=True),
    "friedman": _here("friedman", 0.0001, 2, held_out=True),
    "module-lines": _here("module_lines", 0.0002, 2, held_out=True),
    "waves": _here("waves", 0.002, 8, held_out=True),
    "next-pixel": _here("next_pixel", 0.0005, 4, held_out=True),
}
