"""Schedules for Transformers' Trainer, and for any loop written around its `get_scheduler` (extra `transformers`)."""

from __future__ import annotations

from lrscope.errors import InvalidInput, MissingExtra
from lrscope.integrations.torch.schedule import ScheduledLR
from lrscope.schedules.schedule import Schedule

try:
    import transformers as _transformers  # noqa: F401  # what the extra is for
    from torch.optim import Optimizer
except ImportError as error:
    raise MissingExtra("transformers", "transformers") from error


def get_scheduler(
    name: str | Schedule,
    optimizer: Optimizer,
    num_warmup_steps: int | None = None,
    num_training_steps: int | None = None,
) -> ScheduledLR:
    """`transformers.get_scheduler` with lrscope's schedules: `name` is a text form or a `Schedule`.

    Arguments:
        name: for example `"warmup(5%) -> cosine"`, or `"cosine"` together with `num_warmup_steps`.
        optimizer: its param groups keep their own peaks.
        num_warmup_steps: a linear warm-up put before a text form, inside `num_training_steps`.
        num_training_steps: the updates of the whole run; needed where the text has shares or open phases.

    Returns:
        A scheduler for `Trainer(optimizers=(optimizer, scheduler))` or for `accelerator.prepare`.

    Raises:
        InvalidInput: `num_warmup_steps` together with a finished `Schedule`, or a text form that cannot be read.

    >>> import torch
    >>> optimizer = torch.optim.AdamW(torch.nn.Linear(2, 1).parameters(), lr=1e-3)
    >>> str(get_scheduler("linear", optimizer, num_warmup_steps=10, num_training_steps=100).schedules[0])
    'warmup(10) -> linear(90)'
    """
    if num_warmup_steps:
        if not isinstance(name, str):
            raise InvalidInput(
                f"'num_warmup_steps' goes with a schedule's text form; put the warm-up into the schedule instead. "
                f"Got {num_warmup_steps} with {name}."
            )
        name = f"warmup({num_warmup_steps}) -> {name}"
    return ScheduledLR(optimizer, name, total_steps=num_training_steps)
