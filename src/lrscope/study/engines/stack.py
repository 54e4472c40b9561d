"""A stack: trials of one batch size that train side by side, each with its own weights, rate and end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils import _pytree as pytree

from lrscope.schedules.text import parse_schedule
from lrscope.study.bench import BatchOrder
from lrscope.study.engines.base import Stacking
from lrscope.study.engines.program import Programs, Tensors
from lrscope.study.engines.record import Record
from lrscope.study.engines.stacked_optimizers import StackedGroups
from lrscope.study.trial import Trial, TrialResult


def train_stack(programs: Programs, trials: Sequence[Trial], stacking: Stacking) -> list[TrialResult]:
    """Train trials of one batch size side by side; results in their order.

    Arguments:
        trials: of one seed where the model or the data draw random numbers: they all see the same draws, as they
            would alone.
    """
    bench = programs.bench
    stack = Stack(programs, trials, stacking)
    records = [Record.begin(bench, trial) for trial in trials]
    losses = torch.zeros(len(trials), max(trial.stop_at for trial in trials), device=bench.device)
    for record, row in zip(records, losses, strict=True):
        record.loss = row[: record.trial.stop_at]
    results: dict[int, TrialResult] = {}
    clock = _Clock(records)
    with bench.training_rng(trials[0].seed):
        step = -1
        while active := stack.members:
            step += 1
            stack.update(step, losses, {i: records[i] for i in active if records[i].is_probe(step)})
            leaving = []
            for member in active:
                record = records[member]
                if record.is_check(step) and record.has_diverged(step):
                    leaving.append(member)
                    continue
                if record.is_evaluation(step):
                    record.evaluate(bench, stack.load(member), step)
                if step == trials[member].stop_at - 1:
                    leaving.append(member)
            if leaving:
                clock.share_out(active)
                for member in leaving:
                    results[member] = records[member].finish(bench, stack.load(member), stack.lr[member])
                stack.keep([member for member in active if member not in leaving])
                clock.start()
    return [results[member] for member in range(len(trials))]


class Stack:
    """The members' weights, one row each, and how they are updated."""

    def __init__(self, programs: Programs, trials: Sequence[Trial], stacking: Stacking) -> None:
        bench = programs.bench
        self._programs, self._bench, self._trials, self._stacking = programs, bench, trials, stacking
        untrained = {seed: bench.make_model(seed) for seed in dict.fromkeys(trial.seed for trial in trials)}
        self._orders = {
            seed: BatchOrder(bench.train_examples, trials[0].batch_size, seed, bench.device) for seed in untrained
        }
        shares = [_shares(trial) for trial in trials]
        self.lr = [trial.peak_lr * share for trial, share in zip(trials, shares, strict=True)]
        self._shares = np.zeros((max(map(len, shares)), len(trials)))
        for member, share in enumerate(shares):
            self._shares[: len(share), member] = share
        models = [untrained[trial.seed] for trial in trials]
        values = [dict([*model.named_parameters(), *model.named_buffers()]) for model in models]
        self._trainable, self._frozen, self._buffers = (
            [torch.stack([value[name].detach() for value in values]) for name in names]
            for names in (programs.trainable, programs.frozen, programs.buffers)
        )
        self.optimizer = StackedGroups(
            [bench.make_optimizer(model, trial.peak_lr) for model, trial in zip(models, trials, strict=True)],
            [dict(models[0].named_parameters())[name] for name in programs.trainable],
        )
        self._rows: list[int] = list(range(len(trials)))  # the member in each row
        self.keep(self._rows)

    @property
    def members(self) -> list[int]:
        """Who is left, by place in the trials."""
        return list(dict.fromkeys(self._rows))

    def update(self, step: int, losses: torch.Tensor, probes: dict[int, Record]) -> None:
        """One update of every member; its batch losses go to column `step`, measurements to the records of `probes`."""
        loss, gradients = self.differentiate(step)
        losses[self._index, step] = loss.to(losses.dtype)
        if not probes:
            self.descend(step, gradients)
            return
        norms = row_norms(gradients)
        before = [tensor.clone() for tensor in self._trainable]
        self.descend(step, gradients)
        moved = row_norms([new - old for new, old in zip(self._trainable, before, strict=True)])
        ratios = moved / row_norms([*before, *self._frozen]).clamp_min(1e-15)
        for member, record in probes.items():
            row = self._rows.index(member)
            record.grad_norm[step], record.update_ratio[step] = norms[row], ratios[row]

    def differentiate(self, step: int) -> tuple[torch.Tensor, Tensors]:
        """The losses (rows,) and gradients (rows, …) of the batch of a step; buffers move on."""
        shared = len({self._trials[member].seed for member in self._rows}) == 1
        loss, gradients, self._buffers = self._programs.run(
            self._trainable, self._frozen, self._buffers, self._batch(step, shared), shared=shared
        )
        return loss, gradients

    def descend(self, step: int, gradients: Tensors) -> None:
        """Move the weights against the gradients, each member at its own rate and clipped by its own norm."""
        clip = self._bench.task.clip_norm
        if clip is not None:
            factors = (clip / (row_norms(gradients) + 1e-6)).clamp(max=1.0)
            gradients = [gradient * _column(factors, gradient) for gradient in gradients]
        self.optimizer.step(self._trainable, gradients, self._shares[step, self._rows])

    @torch.no_grad()
    def load(self, member: int) -> torch.nn.Module:
        """A model with a member's weights: the same one at each call."""
        row, model = self._rows.index(member), self._programs.template
        places = dict([*model.named_parameters(), *model.named_buffers()])
        names = [*self._programs.trainable, *self._programs.frozen, *self._programs.buffers]
        for name, tensor in zip(names, [*self._trainable, *self._frozen, *self._buffers], strict=True):
            places[name].copy_(tensor[row])
        return model

    def keep(self, members: Sequence[int]) -> None:
        """Go on with these members only."""
        rows = [*members, *list(members[-1:]) * (self._stacking.rows(len(members)) - len(members))]
        if rows and rows != self._rows:
            chosen = torch.tensor([self._rows.index(member) for member in rows], device=self._bench.device)
            self._trainable, self._frozen, self._buffers = (
                [tensor.index_select(0, chosen) for tensor in tensors]
                for tensors in (self._trainable, self._frozen, self._buffers)
            )
            self.optimizer.keep(chosen)
        self._rows = rows
        self._index = torch.tensor(rows, dtype=torch.int64, device=self._bench.device)

    def _batch(self, step: int, shared: bool) -> Any:
        """The batch of a step: read once for members of one seed, else (rows, B, …) with each row's own."""
        if shared:
            return self._bench.train.batch(self._orders[self._trials[self._rows[0]].seed][step])
        indices = torch.stack([self._orders[self._trials[member].seed][step] for member in self._rows])
        flat = self._bench.train.batch(indices.flatten())
        return pytree.tree_map(lambda leaf: leaf.view(*indices.shape, *leaf.shape[1:]), flat)


class _Clock:
    """Shares the time that a stack takes among its members; evaluations count for whom they were made."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records
        self.start()

    def start(self) -> None:
        self._evaluated = sum(record.eval_seconds for record in self._records)
        self._started = time.perf_counter()

    def share_out(self, members: Sequence[int]) -> None:
        evaluated = sum(record.eval_seconds for record in self._records) - self._evaluated
        share = (time.perf_counter() - self._started - evaluated) / len(members)
        for member in members:
            self._records[member].seconds += share


def row_norms(tensors: Tensors) -> torch.Tensor:
    """(rows,) L2 norms over all tensors (rows, …) together."""
    rows = len(tensors[0])
    flat = [tensor.reshape(rows, -1) for tensor in tensors]
    if rows == 1:  # a lone row would be summed in another order than a row among others
        flat = [torch.cat([row, row]) for row in flat]
    each = torch.stack([torch.linalg.vector_norm(tensor, dim=1) for tensor in flat])
    norms: torch.Tensor = torch.linalg.vector_norm(each, dim=0)
    return norms[:rows]


def _column(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return values.view(-1, *[1] * (like.dim() - 1))


def _shares(trial: Trial) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = parse_schedule(trial.schedule, total_steps=trial.total_steps)(
        np.arange(trial.stop_at)
    )
    return shares
