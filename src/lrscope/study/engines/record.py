"""What is written down while a trial trains, and the rule that says it has diverged."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lrscope.errors import LrscopeError
from lrscope.study.bench import Bench
from lrscope.study.data import Examples
from lrscope.study.trial import Trial, TrialResult

PROBES, FEWEST_PROBES, UPDATES_A_PROBE = 40, 10, 64
EVALUATIONS = 8
CHECK_EVERY, LONGEST_CHECK = 16, 64
CHECKS = 16
"""A run's losses are looked at so many times: not more often than every 16 updates, nor less than every 64."""

SHORT_RUN_EVALUATION = 1024


class Record:
    """The series of one trial as it trains."""

    def __init__(self, trial: Trial, initial: tuple[float, float | None], limit: int | None, evaluations: int) -> None:
        steps = trial.stop_at
        self.trial = trial
        self.initial = initial
        self.limit = limit
        self.loss = torch.zeros(steps)
        self.grad_norm: dict[int, torch.Tensor] = {}
        self.update_ratio: dict[int, torch.Tensor] = {}
        self.evaluations: list[tuple[int, float, dict[str, float]]] = []
        self.seconds = self.eval_seconds = 0.0
        self.diverged_at: int | None = None
        probes = min(steps, PROBES, max(FEWEST_PROBES, steps // UPDATES_A_PROBE))
        self._check_every = min(max(CHECK_EVERY, steps // CHECKS), LONGEST_CHECK)
        self._probes = frozenset(np.unique(np.linspace(0, steps - 1, probes).astype(int)).tolist())
        inner = np.linspace(0, steps, evaluations + 1)[1:-1].astype(int) - 1
        self._evaluations = frozenset(step for step in inner.tolist() if step >= 0)

    @staticmethod
    def begin(bench: Bench, trial: Trial) -> Record:
        """A record with the losses before the first update; short runs are evaluated on a fixed subset."""
        full = trial.stop_at == trial.total_steps and trial.total_steps == bench.task.total_steps(
            trial.batch_size, bench.train_examples
        )
        limit = None if full else max(SHORT_RUN_EVALUATION, trial.examples // 4)
        initial = bench.initial_losses(trial.seed, limit)
        size = len(bench.train if bench.validation is None else bench.validation)
        affordable = int(0.3 * trial.examples / size)
        record = Record(trial, initial, limit, max(1, min(EVALUATIONS, affordable)) if full else 1)
        record.loss = record.loss.to(bench.device)
        return record

    def is_probe(self, step: int) -> bool:
        """Whether gradient norm and update ratio are measured at this update."""
        return step in self._probes

    def is_check(self, step: int) -> bool:
        """Whether the losses so far are looked at after this update."""
        return step % self._check_every == self._check_every - 1 or step == self.trial.stop_at - 1

    def is_evaluation(self, step: int) -> bool:
        """Whether the model is evaluated after this update."""
        return step in self._evaluations

    def has_diverged(self, step: int) -> bool:
        """Look at the losses up to `step`; remembers where the trial diverged."""
        losses = self.loss[: step + 1].cpu().numpy()
        latest, first = losses[-self._check_every :], losses[:5].min()
        if latest.min() <= first + abs(first) and np.isfinite(latest).all():
            return False  # as a look at all of them would say
        self.diverged_at = divergence(losses, self.trial.stop_at)
        return self.diverged_at is not None

    def evaluate(self, bench: Bench, model: nn.Module, step: int) -> None:
        """Validation loss (training loss without validation data) and metrics after update `step`."""
        started = time.perf_counter()
        examples = bench.validation if bench.validation is not None else bench.train
        loss, metrics = self._pass(bench, model, examples, metrics=True)
        self.evaluations.append((step + 1, loss, metrics))
        self.eval_seconds += time.perf_counter() - started

    def _pass(
        self, bench: Bench, model: nn.Module, examples: Examples, *, metrics: bool = False
    ) -> tuple[float, dict[str, float]]:
        """Mean loss and metrics; NaN where the task's code cannot bear what the model has become."""

        def evaluate(model: nn.Module) -> tuple[float, dict[str, float]]:
            return bench.evaluate(model, examples, limit=self.limit, metrics=metrics)

        try:
            return evaluate(model)
        except Exception as error:
            if not is_of_the_weights(error, lambda: evaluate(bench.make_model(self.trial.seed))):
                raise
            return math.nan, dict.fromkeys(bench.task.metrics if metrics else (), math.nan)

    def finish(self, bench: Bench, model: nn.Module, lr: NDArray[np.float64]) -> TrialResult:
        """The result: final losses in full passes, inf where the trial diverged."""
        steps = self.trial.stop_at if self.diverged_at is None else self.diverged_at + 1
        train_loss, val_loss = math.inf, None if bench.validation is None else math.inf
        if self.diverged_at is None:
            self.evaluate(bench, model, self.trial.stop_at - 1)
            started = time.perf_counter()
            if bench.validation is not None:
                val_loss = self.evaluations[-1][1]
                train_loss, _ = self._pass(bench, model, bench.train)
            else:
                train_loss = self.evaluations[-1][1]
            self.eval_seconds += time.perf_counter() - started
        failed = self.diverged_at is not None or not math.isfinite(train_loss)
        names = self.evaluations[0][2] if self.evaluations else {}
        probed = [step for step in sorted(self.grad_norm) if step < steps]
        return TrialResult(
            trial=self.trial,
            status="diverged" if failed else "finished",
            diverged_at=self.diverged_at if not failed or self.diverged_at is not None else steps - 1,
            initial_train_loss=self.initial[0],
            initial_val_loss=self.initial[1],
            train_loss=math.inf if failed else train_loss,
            val_loss=val_loss if val_loss is None or not failed else math.inf,
            metrics={} if failed else dict(self.evaluations[-1][2]),
            loss=self.loss[:steps].cpu().numpy().astype(np.float64),
            lr=lr[:steps],
            probe_step=np.array(probed, dtype=np.int64),
            grad_norm=np.array([float(self.grad_norm[step]) for step in probed]),
            update_ratio=np.array([float(self.update_ratio[step]) for step in probed]),
            eval_step=np.array([step for step, _, _ in self.evaluations], dtype=np.int64),
            eval_loss=np.array([loss for _, loss, _ in self.evaluations]),
            eval_metrics={name: np.array([values[name] for _, _, values in self.evaluations]) for name in names},
            seconds=self.seconds,
            eval_seconds=self.eval_seconds,
            examples=steps * self.trial.batch_size,
        )


def is_of_the_weights(error: Exception, again: Callable[[], object]) -> bool:
    """Whether an error is for where the weights have come to: the same, `again` with those it began with, goes well.

    Many a loss refuses a probability that is NaN, or a spread of zero: a sign of a learning rate that is too high.
    """
    numeric = isinstance(error, (ArithmeticError, ValueError, RuntimeError, LrscopeError))
    if not numeric or isinstance(error, torch.OutOfMemoryError):
        return False
    try:
        again()
    except Exception:
        return False
    return True


def vector(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    """All their numbers in one vector: few operations, as those that are seldom made cost most."""
    with torch.no_grad():
        return torch.cat([(tensor.to_dense() if tensor.is_sparse else tensor).flatten() for tensor in tensors])


def divergence(loss: NDArray[np.floating], total_steps: int) -> int | None:
    """The update at which a run diverged, or None: not finite, or far above where it began and not coming back.

    "Far above": every loss of a window of max(20, T/10) updates exceeds L_0 by more than the larger of |L_0| and the
    drop so far. "Not coming back": the median of the window's later half is no less than 0.8 of its earlier half's.

    Arguments:
        loss: (updates so far,) batch losses. total_steps: T, the updates of the run.

    >>> divergence(np.array([2.3, 2.1, np.nan, np.nan]), 100)
    2
    >>> divergence(np.array([2.3, 9.0, 2.0, 1.0]), 100) is None
    True
    >>> divergence(np.r_[2.3, np.full(30, 9.0)], 100)
    30
    """
    bad = np.flatnonzero(~np.isfinite(loss))
    if len(bad):
        return int(bad[0])
    window = max(20, total_steps // 10)
    if len(loss) <= window:
        return None
    first = float(np.median(loss[: max(1, min(5, len(loss) // 20))]))
    recent = loss[-window:]
    if recent.min() <= first + max(abs(first), first - loss.min()):
        return None
    earlier, later = np.median(recent[: window // 2]), np.median(recent[window // 2 :])
    return len(loss) - 1 if later >= 0.8 * earlier else None
