"""The plain training loop, one trial at a time: the reference that every other engine is tested against."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import nn

from lrscope.schedules.text import parse_schedule
from lrscope.study.bench import BatchOrder, Bench, one_thread
from lrscope.study.data import Batch
from lrscope.study.engines.base import Engine
from lrscope.study.engines.record import Record, is_of_the_weights, vector
from lrscope.study.trial import Trial, TrialResult

STILL = 1e-12
"""A rate that leaves the weights about where they began."""


class LoopEngine(Engine):
    """Forward, backward, step: no DataLoader, one thread, the learning rate set before each update."""

    name = "loop"

    def jobs(self, trials: Sequence[Trial], workers: int) -> list[tuple[Trial, ...]]:
        """One trial a job, the longest first, so that the workers end together."""
        ordered = sorted(trials, key=lambda trial: (-trial.stop_at * trial.batch_size, trial))
        return [(trial,) for trial in ordered]

    def train(self, bench: Bench, trials: Sequence[Trial]) -> list[TrialResult]:
        """Train one after the other."""
        with one_thread():
            return [train_trial(bench, trial) for trial in trials]


def train_trial(bench: Bench, trial: Trial) -> TrialResult:
    """Train one trial to its end, or to where it diverges."""
    training = Training.begin(bench, trial)
    model = training.model
    record = Record.begin(bench, trial)
    order = BatchOrder(bench.train_examples, trial.batch_size, trial.seed, bench.device)
    shares = parse_schedule(trial.schedule, total_steps=trial.total_steps)(np.arange(trial.stop_at))
    with bench.training_rng(trial.seed):
        started = time.perf_counter()
        for step, share in enumerate(shares.tolist()):
            training.set_share(share)
            batch = bench.train.batch(order[step])
            try:
                record.loss[step] = training.update(batch, step, record if record.is_probe(step) else None)
            except Exception as error:
                if not is_of_the_weights(error, partial(_stand_still, bench, trial, step + 1)):
                    raise
                record.loss[step] = math.nan
                record.has_diverged(step)
                break
            if record.is_check(step) and record.has_diverged(step):
                break
            if record.is_evaluation(step):
                record.evaluate(bench, model, step)
        record.seconds = time.perf_counter() - started - record.eval_seconds
    return record.finish(bench, model, trial.peak_lr * shares)


def _stand_still(bench: Bench, trial: Trial, updates: int) -> None:
    """Make the first updates of a trial at a rate that hardly moves the weights."""
    training = Training.begin(bench, replace(trial, peak_lr=STILL))
    order = BatchOrder(bench.train_examples, trial.batch_size, trial.seed, bench.device)
    with bench.training_rng(trial.seed):
        for step in range(updates):
            training.update(bench.train.batch(order[step]))


class Training:
    """A model in training: an update a call.

    What every update needs is looked up once: a small model is updated in the time that a few walks through it take.
    """

    def __init__(self, bench: Bench, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.model, self.optimizer = model, optimizer
        self._bench = bench
        self._parameters = list(model.parameters())
        groups = optimizer.param_groups
        self._cleared = list(dict.fromkeys([*self._parameters, *(one for group in groups for one in group["params"])]))
        self._peaks = [float(group["lr"]) for group in groups]

    @staticmethod
    def begin(bench: Bench, trial: Trial) -> Training:
        """The untrained model of a trial's seed, with its optimizer at the trial's peak rate."""
        model = bench.make_model(trial.seed)
        return Training(bench, model, bench.make_optimizer(model, trial.peak_lr))

    def set_share(self, share: float) -> None:
        """Set the rates to a share of their peaks, which are those that the optimizer was made with."""
        for group, peak in zip(self.optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * share

    def update(self, batch: Batch, step: int = 0, record: Record | None = None) -> torch.Tensor:
        """One update; measured as `step` where a record is given. Returns the batch's loss before it."""
        for parameter in self._cleared:
            parameter.grad = None
        loss = self._bench.batch_loss(self.model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        if record is not None:
            gradient = vector([one.grad for one in self._parameters if one.grad is not None])
            before = vector(self._parameters)
        if self._bench.task.clip_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters, self._bench.task.clip_norm)
        self.optimizer.step()
        if record is not None:
            moved = vector(self._parameters).sub_(before)
            record.grad_norm[step] = gradient.norm()
            record.update_ratio[step] = moved.norm() / before.norm().clamp_min(1e-15)
        return loss.detach()
