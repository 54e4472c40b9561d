"""A training run's record: what was logged, per step, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrscope.errors import InvalidInput

FloatArray = NDArray[np.float64]

PER_STEP = ("lr", "grad_norm", "grad_norm_l1", "update_ratio", "alpha", "gradient_cosine", "sharpness")
"""The optional series that a curve may carry beside its loss; NaN where a step was not measured."""

STEPS_ARE_EPOCHS = "steps are epochs"
"""The note of a curve whose steps are not updates."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """One run: `loss[i]` is the training loss at update `step[i]`, 0-based and increasing.

    Arguments:
        name: what the run is called, unique among the curves read together.
        step: (points,) int64, strictly increasing. loss: (points,) float64, may hold NaN and inf.
        lr, grad_norm, grad_norm_l1, update_ratio, alpha, gradient_cosine, sharpness: (points,) or None.
        val_step, val_loss: (validations,) or None.
        batch_size, optimizer, total_steps: facts of the run, where known.
        notes: what the reader has to say about the record: a torn tail, restarts, values left out.
    """

    name: str
    step: NDArray[np.int64]
    loss: FloatArray
    lr: FloatArray | None = None
    grad_norm: FloatArray | None = None
    grad_norm_l1: FloatArray | None = None
    update_ratio: FloatArray | None = None
    alpha: FloatArray | None = None
    gradient_cosine: FloatArray | None = None
    sharpness: FloatArray | None = None
    val_step: NDArray[np.int64] | None = None
    val_loss: FloatArray | None = None
    batch_size: int | None = None
    optimizer: str | None = None
    total_steps: int | None = None
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        self._set("step", self.step, np.int64, None)
        self._set("loss", self.loss, np.float64, len(self.step))
        for name in PER_STEP:
            self._set(name, getattr(self, name), np.float64, len(self.step))
        self._set("val_step", self.val_step, np.int64, None)
        self._set("val_loss", self.val_loss, np.float64, None if self.val_step is None else len(self.val_step))
        if (self.val_step is None) != (self.val_loss is None):
            raise InvalidInput(f"Curve '{self.name}' must have both 'val_step' and 'val_loss', or neither.")
        for name in ("step", "val_step"):
            steps = getattr(self, name)
            if steps is not None and np.any(np.diff(steps) <= 0):
                raise InvalidInput(f"The '{name}' of curve '{self.name}' must increase strictly.")

    def _set(self, name: str, values: ArrayLike | None, dtype: type, length: int | None) -> None:
        if values is None:
            return
        try:
            given: NDArray[Any] = np.asarray(values, dtype=None if dtype is np.int64 else dtype)
            with np.errstate(invalid="ignore"):  # NaN as a whole number
                array: NDArray[Any] = given.astype(dtype, copy=False)
            if not np.array_equal(array, given, equal_nan=dtype is np.float64):
                raise ValueError
        except (TypeError, ValueError, OverflowError, RuntimeError):
            kind = "whole numbers" if dtype is np.int64 else "numbers"
            raise InvalidInput(
                f"The '{name}' of curve '{self.name}' must be a list or an array of {kind} (of a PyTorch tensor, its "
                ".tolist())."
            ) from None
        if array.ndim != 1 or (length is not None and len(array) != length):
            raise InvalidInput(
                f"The '{name}' of curve '{self.name}' must be one-dimensional"
                + (f" with {length} values" if length is not None else "")
                + f". Got shape {array.shape}."
            )
        object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.step)
