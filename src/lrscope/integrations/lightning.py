"""Schedules for Lightning: what `configure_optimizers` returns (extra `lightning`)."""

from __future__ import annotations

from typing import Any, TypedDict

from lrscope.errors import InvalidInput, MissingExtra
from lrscope.integrations.torch.schedule import ScheduledLR
from lrscope.schedules.schedule import Schedule

try:
    import lightning as _lightning  # noqa: F401  # what the extra is for
    from torch.optim import Optimizer
except ImportError as error:
    raise MissingExtra("lightning", "lightning") from error


class SchedulerConfig(TypedDict):
    """Lightning's own form of a scheduler that steps once for every update."""

    scheduler: ScheduledLR
    interval: str
    frequency: int


class OptimizerConfig(TypedDict):
    """Lightning's own form of an optimizer with its scheduler."""

    optimizer: Optimizer
    lr_scheduler: SchedulerConfig


def configure_optimizer(
    optimizer: Optimizer,
    schedule: Schedule | str,
    *,
    trainer: Any = None,
    total_steps: int | None = None,
) -> OptimizerConfig:
    """What a LightningModule's `configure_optimizers` returns for an optimizer on a schedule of updates.

    Arguments:
        optimizer: its param groups keep their own peaks.
        schedule: a `Schedule`, or its text form.
        trainer: `self.trainer`; its `estimated_stepping_batches` is the run's length for a text form.
        total_steps: the run's length, in place of the trainer's.

    Raises:
        InvalidInput: a text form that needs the run's length, on a trainer whose length is open (`max_steps=-1`).

    Example::

        def configure_optimizers(self):
            optimizer = torch.optim.AdamW(self.parameters(), lr=1e-3)
            return configure_optimizer(optimizer, "warmup(5%) -> cosine", trainer=self.trainer)
    """
    if total_steps is None and trainer is not None and isinstance(schedule, str):
        length = trainer.estimated_stepping_batches
        if length == float("inf"):
            raise InvalidInput(
                "The trainer's run has no end (max_epochs=-1 and max_steps=-1), so the schedule "
                f"{schedule!r} has no length; give 'total_steps', or max_steps to the trainer."
            )
        total_steps = int(length)
    scheduler = ScheduledLR(optimizer, schedule, total_steps=total_steps)
    config = SchedulerConfig(scheduler=scheduler, interval="step", frequency=1)
    return OptimizerConfig(optimizer=optimizer, lr_scheduler=config)
