"""Anything else: dict batches, and a Transformers model that returns its own loss.

pip install transformers
lrscope study examples/transformer.py:task
"""

from pydoc_data.topics import topics

import torch
from transformers import GPT2Config, GPT2LMHeadModel

import lrscope

LENGTH = 32
"""The characters that the model reads at a time."""


def make_model() -> GPT2LMHeadModel:
    """A small GPT-2 over bytes, with random initial weights."""
    config = GPT2Config(vocab_size=128, n_positions=LENGTH, n_embd=48, n_layer=2, n_head=3, loss_type="ForCausalLM")
    return GPT2LMHeadModel(config)


def batch_loss(model: GPT2LMHeadModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The model's own loss: it shifts the labels by itself."""
    return model(input_ids=batch["input_ids"], labels=batch["input_ids"]).loss


def task() -> lrscope.Task:
    """The next character of the English in Python's own documentation."""
    text = "\n".join(topics[name] for name in sorted(topics)).encode("ascii", "ignore")
    characters = torch.tensor(list(text[: 2048 * LENGTH])).reshape(-1, LENGTH)
    return lrscope.Task(
        name="tiny gpt",
        model=make_model,
        batch_loss=batch_loss,
        train={"input_ids": characters[:1920]},
        validation={"input_ids": characters[1920:]},
        optimizer="adamw",
        clip_norm=1.0,
        examples=3840,
        batch_sizes=(8, 32),
    )
