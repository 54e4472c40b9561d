"""A trial, the unit of a study: one training run, named by everything that its outcome depends on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

TrialStatus = Literal["finished", "diverged"]
"""finished: ran to its `stop_at`. diverged: the loss left for good."""


@dataclass(frozen=True, kw_only=True, order=True)
class Trial:
    """One training run: the same key gives the same result, bit for bit on the CPU.

    Arguments:
        batch_size: examples an update.
        peak_lr: the peak learning rate, that `schedule` is a share of.
        schedule: a schedule's text; its lengths are resolved against `total_steps`.
        seed: fixes the initial weights and the data order, alike for every batch size and rate.
        total_steps: the updates that the schedule is laid out over.
        stop_at: the updates that are made; less than `total_steps` for a run cut short.
    """

    batch_size: int
    peak_lr: float
    schedule: str
    seed: int
    total_steps: int
    stop_at: int

    @property
    def examples(self) -> int:
        """The examples that the trial processes if it runs to its end."""
        return self.batch_size * self.stop_at


@dataclass(frozen=True, kw_only=True, eq=False)
class TrialResult:
    """What training a trial gave.

    Arguments:
        trial: the key.
        status, diverged_at: how it ended, and the update (0-based) at which divergence was seen.
        initial_train_loss, initial_val_loss: full passes in eval mode before the first update; val None without data.
        train_loss, val_loss: the same after the last update; inf where the trial diverged.
        metrics: the task's metrics on the validation data (training data where there is none) after the last update.
        loss, lr: (updates,) the batch's training loss before each update, and the rate of the update.
        probe_step, grad_norm, update_ratio: (probes,) L2 norm of the gradient, and ‖Δθ‖/‖θ‖, at regular updates.
        eval_step, eval_loss: (evaluations,) validation loss after `eval_step` updates (training loss without data).
        eval_metrics: name → (evaluations,).
        seconds: training time, evaluation left out. eval_seconds: evaluation time.
        examples: the examples processed in training.
        engine: which engine trained it.
    """

    trial: Trial
    status: TrialStatus
    diverged_at: int | None
    initial_train_loss: float
    initial_val_loss: float | None
    train_loss: float
    val_loss: float | None
    metrics: dict[str, float]
    loss: FloatArray
    lr: FloatArray
    probe_step: NDArray[np.int64]
    grad_norm: FloatArray
    update_ratio: FloatArray
    eval_step: NDArray[np.int64]
    eval_loss: FloatArray
    eval_metrics: dict[str, FloatArray] = field(default_factory=dict)
    seconds: float
    eval_seconds: float
    examples: int
    engine: str = "loop"

    @property
    def is_full_run(self) -> bool:
        """Whether the trial was meant to run its schedule to the end."""
        return self.trial.stop_at == self.trial.total_steps

    def final_loss(self, metric: str) -> float:
        """The loss a study compares by: `val_loss` or `train_loss`; inf for a diverged trial."""
        value = self.val_loss if metric == "val_loss" else self.train_loss
        return float("inf") if value is None or not np.isfinite(value) or self.status == "diverged" else float(value)

    def initial_loss(self, metric: str) -> float:
        """The same loss before the first update: L_init."""
        value = self.initial_val_loss if metric == "val_loss" else self.initial_train_loss
        return float("nan") if value is None else float(value)
