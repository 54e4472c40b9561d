"""A schedule for Optax: `count -> learning rate`, traced under `jit`, right to 1e-6 in float32 (extra `optax`)."""

from __future__ import annotations

from typing import Any

from lrscope.errors import MissingExtra
from lrscope.integrations.traced import fit_pieces, last_step_asked
from lrscope.schedules.schedule import Schedule
from lrscope.schedules.text import parse_schedule

try:
    import jax
    import jax.numpy as jnp
    import optax as _optax  # noqa: F401  # what the extra is for
except ImportError as error:
    raise MissingExtra("optax", "optax") from error


class OptaxSchedule:
    """`peak_lr * schedule(count)`, as Optax's optimizers take a learning rate.

    Works on Python numbers, arrays and traced counts, under `jit`, `vmap` and `scan`, with or without 64-bit mode: the
    share is evaluated in float32 within 1e-6 of the float64 one, boundaries exactly where they are.

    Arguments:
        schedule: a `Schedule`, or its text form with `total_steps`.
        peak_lr: the peak learning rate.
        total_steps: the run's length in updates. Without it the schedule holds for every int32 count, which cycles
            that never end do not allow; with it, the counts from `total_steps` on repeat what the schedule says there.

    Raises:
        InvalidInput: a schedule with endless cycles and no `total_steps`.

    >>> schedule = OptaxSchedule("warmup(2) -> linear", peak_lr=0.5, total_steps=6)
    >>> [round(float(jax.jit(schedule)(count)), 3) for count in range(8)]
    [0.25, 0.5, 0.5, 0.333, 0.167, 0.0, 0.0, 0.0]
    """

    def __init__(self, schedule: Schedule | str, peak_lr: float = 1.0, *, total_steps: int | None = None) -> None:
        self.schedule = parse_schedule(schedule, total_steps=total_steps) if isinstance(schedule, str) else schedule
        self.peak_lr = peak_lr
        self._last_step = last_step_asked(self.schedule, total_steps)
        self._pieces = fit_pieces(self.schedule, last_step=self._last_step)

    def __call__(self, count: Any) -> jax.Array:
        """The learning rate of update `count` (0-based)."""
        step = jnp.clip(jnp.asarray(count), 0, self._last_step)
        rate: jax.Array = self.peak_lr * self._pieces.evaluate(step, jnp, jnp.asarray)
        return rate

    def __repr__(self) -> str:
        return f"OptaxSchedule({str(self.schedule)!r}, peak_lr={self.peak_lr})"
