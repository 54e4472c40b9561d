"""The plain training loop, one trial at a time: the reference that every other engine is tested against."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import nn

from lrscope.schedules.text import parse_schedule
from lrscope.study.bench import BatchOrder, Bench, one_thread
from lrscope.study.engines.base import Engine
from lrscope.study.engines.record import Record
from lrscope.study.trial import Trial, TrialResult


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
    model = bench.make_model(trial.seed)
    optimizer = bench.make_optimizer(model, trial.peak_lr)
    record = Record.begin(bench, trial, model)
    order = BatchOrder(bench.train_examples, trial.batch_size, trial.seed, bench.device)
    shares = parse_schedule(trial.schedule, total_steps=trial.total_steps)(np.arange(trial.stop_at))
    rates = shares.tolist()
    peaks = [float(group["lr"]) for group in optimizer.param_groups]
    model.train()
    with bench.training_rng(trial.seed):
        started = time.perf_counter()
        for step in range(trial.stop_at):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * rates[step]
            probe = record.is_probe(step)
            record.loss[step] = update(bench, model, optimizer, order[step], record if probe else None, step)
            if record.is_check(step) and record.has_diverged(step):
                break
            if record.is_evaluation(step):
                record.evaluate(bench, model, step)
        record.seconds = time.perf_counter() - started - record.eval_seconds
    return record.finish(bench, model, trial.peak_lr * shares)


def update(
    bench: Bench,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    indices: torch.Tensor,
    record: Record | None,
    step: int,
) -> torch.Tensor:
    """One update; measured where a record is given. Returns the batch's loss before it."""
    optimizer.zero_grad(set_to_none=True)
    loss = bench.batch_loss(model, bench.train.batch(indices))
    loss.backward()  # type: ignore[no-untyped-call]
    if record is not None:
        gradient = _vector([p.grad for p in model.parameters() if p.grad is not None])
        before = _vector(model.parameters())
    if bench.task.clip_norm is not None:
        nn.utils.clip_grad_norm_(model.parameters(), bench.task.clip_norm)
    optimizer.step()
    if record is not None:
        moved = _vector(model.parameters()) - before
        record.grad_norm[step] = float(gradient.norm())
        record.update_ratio[step] = float(moved.norm() / before.norm().clamp_min(1e-15))
    return loss.detach()


@torch.no_grad()
def _vector(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    """All their numbers in one vector: few operations, as those that are seldom made cost most."""
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
