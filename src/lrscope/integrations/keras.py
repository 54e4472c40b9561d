"""A schedule for Keras's optimizers, on every backend (extra `keras`)."""

from __future__ import annotations

from typing import Any

from lrscope.errors import MissingExtra
from lrscope.integrations.traced import fit_pieces, last_step_asked
from lrscope.schedules.schedule import Schedule
from lrscope.schedules.text import parse_schedule

try:
    import keras
    from keras import ops
except ImportError as error:
    raise MissingExtra("keras", "keras") from error


@keras.saving.register_keras_serializable(package="lrscope")
class KerasSchedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """`peak_lr * schedule(step)` as a Keras `LearningRateSchedule`, saved and loaded with its model.

    The share is evaluated in float32 within 1e-6 of the float64 one, in graphs and compiled steps too.

    Arguments:
        schedule: a `Schedule`, or its text form with `total_steps`.
        peak_lr: the peak learning rate.
        total_steps: the run's length in updates; needed for text with shares of the run and for endless cycles.

    Raises:
        InvalidInput: a schedule with endless cycles and no `total_steps`.
    """

    def __init__(self, schedule: Schedule | str, peak_lr: float = 1.0, total_steps: int | None = None) -> None:
        self.schedule = parse_schedule(schedule, total_steps=total_steps) if isinstance(schedule, str) else schedule
        self.peak_lr = peak_lr
        self.total_steps = total_steps
        self._last_step = last_step_asked(self.schedule, total_steps)
        self._pieces = fit_pieces(self.schedule, last_step=self._last_step)

    def __call__(self, step: Any) -> Any:
        """The learning rate of update `step` (0-based)."""
        step = ops.clip(ops.cast(step, "int32"), 0, self._last_step)
        return self.peak_lr * self._pieces.evaluate(step, ops, ops.convert_to_tensor)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again, the schedule in its text form."""
        return {"schedule": str(self.schedule), "peak_lr": self.peak_lr, "total_steps": self.total_steps}
