"""Next-character prediction on real English: the language reference that CPython carries as `pydoc_data.topics`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from lrscope.study.task import Task

CONTEXT = 16
"""How many characters the model sees."""

TRAIN_EXAMPLES = 24_000
VALIDATION_EXAMPLES = 4_000


def pydoc_text() -> Task:
    """An MLP over the embeddings of the last 16 characters (Bengio 2003) under AdamW; the text's end is held out."""
    characters, vocabulary = _characters()
    border = int(0.9 * len(characters))
    return Task(
        name="pydoc-text",
        model=lambda: _EmbeddingMLP(vocabulary),
        loss=F.cross_entropy,
        train=_examples(characters[:border], TRAIN_EXAMPLES),
        validation=_examples(characters[border:], VALIDATION_EXAMPLES),
        metrics={"bits per character": _bits},
        optimizer="adamw",
        epochs=3,
        batch_sizes=(16, 64, 256),
    )


class _EmbeddingMLP(nn.Module):
    def __init__(self, vocabulary: int, width: int = 16, hidden: int = 128) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.hidden = nn.Linear(CONTEXT * width, hidden)
        self.output = nn.Linear(hidden, vocabulary)

    def forward(self, characters: torch.Tensor) -> torch.Tensor:
        """(B, CONTEXT) characters -> (B, vocabulary) logits of the next."""
        embedded: torch.Tensor = self.embedding(characters).flatten(1)
        logits: torch.Tensor = self.output(torch.tanh(self.hidden(embedded)))
        return logits


def _characters() -> tuple[torch.Tensor, int]:
    """The text as (length,) indices into its printable ASCII, and how many there are."""
    from pydoc_data.topics import topics

    text = "\n".join(topics[name] for name in sorted(topics))
    kept = bytes(code for code in text.encode("ascii", "ignore") if code == 10 or 32 <= code < 127)
    codes = torch.frombuffer(bytearray(kept), dtype=torch.uint8).long()
    return torch.where(codes == 10, 0, codes - 31), 96


def _examples(characters: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`count` windows at even distances: contexts (count, CONTEXT) and the characters that follow (count,)."""
    starts = torch.linspace(0, len(characters) - CONTEXT - 1, count).long()
    windows = characters[starts[:, None] + torch.arange(CONTEXT + 1)]
    return windows[:, :-1].contiguous(), windows[:, -1].contiguous()


def _bits(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(outputs, targets) / torch.tensor(2.0).log()
