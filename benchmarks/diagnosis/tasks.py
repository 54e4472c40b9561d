"""The small, real training problems that the diagnosis is trained and judged on.

A task is a pure loss of a flat weight vector, `loss(weights, inputs, targets) -> scalar`, so that a whole sweep of
learning rates trains as one vectorised program: the weights are stacked, (runs, weights).
"""

from __future__ import annotations

import gzip
import pydoc_data.topics as topics
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn import datasets
from torch import Tensor

FASHION = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's dataset-fashion-mnist puts its files; its tasks are left out where they are absent."""

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class FlatTask:
    """A training problem: data, the shapes of its weights (gain: the scale of each at the start), and its loss."""

    name: str
    inputs: Tensor
    targets: Tensor
    shapes: Shapes
    loss: Callable[[list[Tensor], Tensor, Tensor], Tensor]
    gain: float = 1.0
    max_batch: int = 256
    l2: float = 0.0
    max_steps: int = 5000

    def initial(self, seed: int) -> Tensor:
        """(weights,) He-scaled matrices and zero biases; norms' scales start at one."""
        generator = torch.Generator().manual_seed(seed)
        parts = []
        for shape in self.shapes:
            if len(shape) == 1:
                parts.append(torch.zeros(shape))
            else:
                fan_in = int(np.prod(shape[1:]))
                parts.append(torch.randn(shape, generator=generator) * self.gain * (1.0 / fan_in) ** 0.5)
        return torch.cat([p.reshape(-1) for p in parts])

    def split(self, flat: Tensor) -> list[Tensor]:
        """The flat vector as tensors of `shapes`."""
        sizes = [int(np.prod(shape)) for shape in self.shapes]
        return [part.reshape(shape) for part, shape in zip(flat.split(sizes), self.shapes, strict=True)]

    def __call__(self, flat: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of one batch."""
        loss = self.loss(self.split(flat), inputs, targets)
        return loss + self.l2 * flat.pow(2).sum() if self.l2 else loss


def _layers(*widths: int) -> Shapes:
    return tuple(shape for a, b in pairwise(widths) for shape in ((b, a), (b,)))


def _mlp(weights: list[Tensor], x: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
    for i in range(0, len(weights), 2):
        x = F.linear(x, weights[i], weights[i + 1])
        if i + 2 < len(weights):
            x = activation(x)
    return x


def _classify(activation: Callable[[Tensor], Tensor]) -> Callable[[list[Tensor], Tensor, Tensor], Tensor]:
    return lambda w, x, y: F.cross_entropy(_mlp(w, x, activation), y)


def _regress(activation: Callable[[Tensor], Tensor]) -> Callable[[list[Tensor], Tensor, Tensor], Tensor]:
    return lambda w, x, y: F.mse_loss(_mlp(w, x, activation).squeeze(-1), y)


def _standard(x: np.ndarray) -> Tensor:
    x = np.asarray(x, dtype=np.float32)
    return torch.from_numpy((x - x.mean(0)) / (x.std(0) + 1e-6))


@cache
def _bundled(name: str) -> tuple[Tensor, Tensor]:
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    if name == "digits":
        return torch.from_numpy(x.astype(np.float32) / 16.0), torch.from_numpy(y)
    if name == "diabetes":
        return _standard(x), _standard(y)
    return _standard(x), torch.from_numpy(y)


@cache
def _fashion(count: int = 6000) -> tuple[Tensor, Tensor]:
    with gzip.open(FASHION / "train-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(16 + count * 784)[16:], dtype=np.uint8).reshape(count, 28, 28)
    with gzip.open(FASHION / "train-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(8 + count)[8:], dtype=np.uint8)
    small = images.reshape(count, 14, 2, 14, 2).mean((2, 4)).astype(np.float32) / 255.0
    return torch.from_numpy((small - 0.286) / 0.32), torch.from_numpy(labels.astype(np.int64))


@cache
def _text(context: int) -> tuple[Tensor, Tensor]:
    text = " ".join(topics.topics[k] for k in sorted(topics.topics))[:120_000].lower()
    alphabet = {c: i for i, c in enumerate(" etaoinsrhldcumfpgwybvkxjqz.,'\n")}
    codes = torch.tensor([alphabet.get(c, 0) for c in text])
    windows = codes.unfold(0, context + 1, 3)
    return windows[:, :-1].contiguous(), windows[:, 1:].contiguous()


VOCABULARY = 31


def _conv(x: Tensor, weight: Tensor, bias: Tensor, stride: int = 1) -> Tensor:
    """A 3×3 convolution as one matrix product, which vectorises well over stacked weights."""
    height = (x.shape[-2] - 1) // stride + 1
    patches = F.unfold(x, 3, padding=1, stride=stride)  # (batch, channels·9, places)
    out = weight.flatten(1) @ patches + bias[:, None]
    return out.unflatten(-1, (height, -1))


def _cnn(w: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    x = F.relu(_conv(x.unsqueeze(1), w[0], w[1], 2))
    x = F.relu(_conv(x, w[2], w[3], 2))
    return F.cross_entropy(F.linear(x.flatten(1), w[4], w[5]), y)


def _char_mlp(w: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    hidden = (F.one_hot(x, VOCABULARY).to(w[0].dtype) @ w[0].T).flatten(1)
    hidden = torch.tanh(F.linear(hidden, w[1], w[2]))
    return F.cross_entropy(F.linear(hidden, w[3], w[4]), y[:, -1])


def _char_rnn(w: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    embedded = F.one_hot(x, VOCABULARY).to(w[0].dtype) @ w[0].T  # (batch, time, hidden)
    state = torch.zeros_like(embedded[:, 0])
    outputs = []
    for t in range(x.shape[1]):
        state = torch.tanh(embedded[:, t] + F.linear(state, w[1], w[2]))
        outputs.append(state)
    logits = F.linear(torch.stack(outputs, 1), w[3], w[4])
    return F.cross_entropy(logits.flatten(0, 1), y.flatten())


def _norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


def _transformer(w: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    h = F.one_hot(x, VOCABULARY).to(w[0].dtype) @ w[0].T + w[1]
    mask = torch.full((x.shape[1], x.shape[1]), -1e9).triu(1)
    for q, k, v, o, up, down in (w[2:8], w[8:14]):
        n = _norm(h)
        scores = (n @ q.T) @ (n @ k.T).transpose(-1, -2) / q.shape[0] ** 0.5 + mask
        h = h + scores.softmax(-1) @ (n @ v.T) @ o.T
        h = h + F.relu(_norm(h) @ up.T) @ down.T
    return F.cross_entropy((_norm(h) @ w[14].T).flatten(0, 1), y.flatten())


def _residual(w: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    h = F.linear(x.flatten(1), w[0], w[1])
    for up, down in ((w[2], w[3]), (w[4], w[5])):
        h = h + F.relu(_norm(h) @ up.T) @ down.T
    return F.cross_entropy(F.linear(_norm(h), w[6], w[7]), y)


def _factorise(w: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    rows, columns = F.one_hot(x[:, 0], 60).to(w[0].dtype), F.one_hot(x[:, 1], 50).to(w[0].dtype)
    return ((rows @ w[0] * (columns @ w[1])).sum(-1) - y).pow(2).mean()


def _quadratic(w: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    return 0.5 * ((w[0][0] * 12.0 - x) ** 2 * y[:1]).sum(-1).mean()


def _recall(w: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    state = torch.zeros(x.shape[0], w[1].shape[0])
    for t in range(x.shape[1]):
        state = torch.tanh(F.linear(x[:, t], w[0]) + F.linear(state, w[1], w[2]))
    return F.mse_loss(F.linear(state, w[3], w[4]).squeeze(-1), y)


def _synthetic(kind: str) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(len(kind))
    if kind == "quadratic":
        eigenvalues = 20.0 * torch.arange(1.0, 101.0) ** -1.5  # a power law, as Hessians of networks have
        return torch.randn(1000, 100, generator=g), eigenvalues.expand(1000, 100)
    if kind == "factorise":
        table = torch.randn(60, 4, generator=g) @ torch.randn(4, 50, generator=g) / 2
        index = torch.cartesian_prod(torch.arange(60), torch.arange(50))[torch.randperm(3000, generator=g)[:2000]]
        return index, table[index[:, 0], index[:, 1]] + 0.1 * torch.randn(2000, generator=g)
    if kind == "recall":
        x = torch.rand(2000, 12, 2, generator=g)
        x[..., 1] = 0
        x[torch.arange(2000), torch.randint(6, (2000,), generator=g), 1] = 1
        return x, (x[..., 0] * x[..., 1]).sum(1)
    if kind == "spirals":
        t = torch.rand(1500, generator=g).sqrt() * 7
        y = torch.arange(1500) % 3
        angle = t + y * 2.0944 + 0.15 * torch.randn(1500, generator=g)
        return torch.stack([t * angle.cos(), t * angle.sin()], 1) / 4, y
    if kind == "linear":
        x = torch.randn(2000, 40, generator=g) * torch.logspace(0, -2, 40)
        return x, x @ torch.randn(40, generator=g) * 3 + 0.3 * torch.randn(2000, generator=g)
    x = torch.randn(3000, 12, generator=g)
    teacher = torch.tanh(x @ torch.randn(12, 10, generator=g) / 2) @ torch.randn(10, generator=g)
    return x, teacher + (0.5 if kind == "noisy teacher" else 0.0) * torch.randn(3000, generator=g)


def _noisy_labels(y: Tensor) -> Tensor:
    g = torch.Generator().manual_seed(0)
    wrong = torch.rand(len(y), generator=g) < 0.4
    return torch.where(wrong, torch.randint(10, (len(y),), generator=g), y)


def _autoencode(w: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    return F.mse_loss(_mlp(w, x, torch.tanh), x)


def make_tasks() -> list[FlatTask]:
    """Every task that this machine can run, in a fixed order."""
    digits, cancer, wine = _bundled("digits"), _bundled("breast_cancer"), _bundled("wine")
    diabetes, flat_digits = _bundled("diabetes"), _bundled("digits")[0]
    images = flat_digits.reshape(-1, 8, 8)
    he = 2.0**0.5
    cnn = lambda side: ((8, 1, 3, 3), (8,), (12, 8, 3, 3), (12,), (10, 12 * side * side), (10,))  # noqa: E731
    block = ((20, 20), (20, 20), (20, 20), (20, 20), (40, 20), (20, 40))
    tasks = [
        FlatTask("digits mlp", *digits, _layers(64, 32, 10), _classify(F.relu), he),
        FlatTask("digits cnn", images, digits[1], cnn(2), _cnn, he, 32, 0.0, 1500),
        FlatTask("digits autoencoder", *digits, _layers(64, 32, 8, 32, 64), _autoencode),
        FlatTask(
            "digits noisy labels", flat_digits, _noisy_labels(digits[1]), _layers(64, 48, 10), _classify(F.relu), he
        ),
        FlatTask("digits deep decayed", *digits, _layers(64, 24, 24, 24, 10), _classify(F.relu), he, 128, 2e-3),
        FlatTask("cancer logistic", *cancer, _layers(30, 2), _classify(F.relu)),
        FlatTask("wine deep tanh", *wine, _layers(13, 16, 16, 16, 16, 3), _classify(torch.tanh), 1.0, 64),
        FlatTask("diabetes mlp", *diabetes, _layers(10, 24, 1), _regress(F.relu), he, 128),
        FlatTask("teacher mlp", *_synthetic("teacher"), _layers(12, 32, 1), _regress(torch.tanh)),
        FlatTask("noisy teacher", *_synthetic("noisy teacher"), _layers(12, 32, 16, 1), _regress(F.relu), he),
        FlatTask("linear regression", *_synthetic("linear"), _layers(40, 1), _regress(F.relu), 0.1),
        FlatTask("quadratic", *_synthetic("quadratic"), ((1, 100),), _quadratic, 1.0, 128),
        FlatTask("matrix factorisation", *_synthetic("factorise"), ((60, 6), (50, 6)), _factorise, 1.0),
        FlatTask("spirals mlp", *_synthetic("spirals"), _layers(2, 32, 32, 3), _classify(F.relu), he),
        FlatTask(
            "recall rnn", *_synthetic("recall"), ((16, 2), (16, 16), (16,), (1, 16), (1,)), _recall, 1.0, 64, 0.0, 2000
        ),
        FlatTask("text mlp", *_text(5), ((6, VOCABULARY), (32, 30), (32,), (VOCABULARY, 32), (VOCABULARY,)), _char_mlp),
        FlatTask(
            "text rnn",
            *_text(10),
            ((24, VOCABULARY), (24, 24), (24,), (VOCABULARY, 24), (VOCABULARY,)),
            _char_rnn,
            1.0,
            16,
            0.0,
            1200,
        ),
        FlatTask(
            "text transformer",
            *_text(8),
            ((20, VOCABULARY), (8, 20), *block, *block, (VOCABULARY, 20)),
            _transformer,
            1.0,
            16,
            0.0,
            600,
        ),
    ]
    if FASHION.exists():
        fashion = _fashion()
        flat = (fashion[0].flatten(1), fashion[1])
        residual = ((24, 196), (24,), (32, 24), (24, 32), (32, 24), (24, 32), (10, 24), (10,))
        tasks += [
            FlatTask("fashion softmax", *flat, _layers(196, 10), _classify(F.relu), 1.0, 128),
            FlatTask("fashion mlp", *flat, _layers(196, 32, 10), _classify(F.relu), he, 64),
            FlatTask("fashion cnn", *fashion, cnn(4), _cnn, he, 32, 0.0, 1200),
            FlatTask("fashion residual", *flat, residual, _residual, he, 64),
        ]
    return tasks
