"""What CPython carries: the text of its documentation, its library's code, the names of Unicode's characters."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from task_data import split
from torch import nn

from lrscope.study.task import Task
from lrscope.tasks.text import pydoc_text


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
    train, validation = split(torch.tensor(rows), torch.tensor(labels))
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
    train, validation = split(torch.tensor(rows), torch.tensor(labels))
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


def next_token() -> Task:
    """The kind of the next token of a module of CPython 3.11's library by the twelve before it: an MLP, RMSprop."""
    import doctest
    import tokenize

    with tokenize.open(doctest.__file__) as file:
        kinds = [token.exact_type for token in tokenize.generate_tokens(file.readline)]
    windows = torch.tensor(kinds).unfold(0, 13, 2)
    border = len(windows) // 5 * 4
    train, validation = windows[:border], windows[border + 6 :]
    return Task(
        name="next-token",
        model=lambda: nn.Sequential(
            nn.Embedding(tokenize.N_TOKENS, 12),
            nn.Flatten(),
            nn.Linear(144, 64),
            nn.SiLU(),
            nn.Linear(64, tokenize.N_TOKENS),
        ),
        loss=F.cross_entropy,
        train=(train[:, :12], train[:, 12]),
        validation=(validation[:, :12], validation[:, 12]),
        optimizer=lambda parameters, lr: torch.optim.RMSprop(parameters, lr=lr, weight_decay=1e-4),
        epochs=5,
        batch_sizes=(16, 64, 256),
    )


class _WordCNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.filters = nn.Embedding(32, 16), nn.Conv1d(16, 48, 3, padding=1)
        self.output = nn.Sequential(nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 16))

    def forward(self, letters: torch.Tensor) -> torch.Tensor:
        """(B, 14) letters -> (B, 16) logits of the script."""
        return self.output(self.filters(self.embedding(letters).transpose(1, 2)).relu().amax(2))


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
