"""Whether a task's trials may be stacked: checked on a few real updates before any trial is trained so.

A stack must train as the loop does, and a member must come out the same bit for bit whatever it is stacked with, or a
study that was interrupted would not end as one that was not. Neither can be read off a model: the kernels that a
machine chooses for a stack of eight may sum in another order than those for a stack of two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from lrscope.study.bench import BatchOrder
from lrscope.study.data import TensorExamples
from lrscope.study.engines.base import WIDEST, NotStackable, Stacking
from lrscope.study.engines.loop import Training
from lrscope.study.engines.program import Programs, Tensors, described
from lrscope.study.engines.record import vector
from lrscope.study.engines.stack import Stack, row_norms
from lrscope.study.engines.stacked_optimizers import StackedGroups
from lrscope.study.trial import Trial

UPDATES = 3
TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}
"""How far a stack's numbers may lie from the loop's: rounding lies far below, another computation far above."""

ROUNDING = 1e-6
OVERFLOWING = 1e38
"""A learning rate from which the next update's numbers are no longer finite in float32."""


def certify(programs: Programs, batch_size: int, widths: Sequence[int] = range(1, WIDEST)) -> Stacking:
    """How trials of a batch size may be stacked: in which of these widths, and in the widest.

    What a stack of the widest width gives is what a trial's result is; another width may be used if it gives the same.

    Raises:
        NotStackable: they cannot be, or would train otherwise, or not alike in every place of a stack.
    """
    trials = _trials(batch_size, WIDEST)
    whole = _trained(programs, trials)
    _check_first(programs, whole[0])
    _check_optimizer(programs, trials)
    _check_neighbour(programs, whole)
    called = Programs(programs.bench, "called")  # a trace takes longer than these few updates
    if not _same(_train(called, trials), whole):
        raise NotStackable("its sums depend on how a stack is run")
    _check_places(called, whole)
    allowed = [width for width in widths if _same(_train(called, trials[:width]), whole)]
    return Stacking(widths=(*allowed, WIDEST), mixes_seeds=_mixes_seeds(programs, called, [*allowed, WIDEST], whole))


def certify_compiled(programs: Programs, batch_size: int, width: int) -> Stacking:
    """How trials of a batch size whose optimizer is certified may be stacked in compiled programs: at one width.

    Raises:
        NotStackable: they cannot be compiled, or would train otherwise, or not alike in every place of a stack.
    """
    if not isinstance(programs.bench.train, TensorExamples):
        raise NotStackable("the shapes of its batches may vary, and each would be compiled")
    whole = _trained(programs, _trials(batch_size, width))
    _check_first(programs, whole[0])
    _check_neighbour(programs, whole)
    _check_places(programs, whole)
    return Stacking(widths=(width,), compiled=True)


def _trials(batch_size: int, count: int) -> list[Trial]:
    first = Trial(
        batch_size=batch_size, peak_lr=1e-3, schedule="constant", seed=0, total_steps=UPDATES, stop_at=UPDATES
    )
    return [replace(first, peak_lr=1e-3 * (1 + member / count)) for member in range(count)]


def _trained(programs: Programs, trials: Sequence[Trial]) -> list[_Member]:
    """As `_train`, for the first time: whatever goes wrong here goes wrong because they are stacked."""
    try:
        return _train(programs, trials)
    except NotStackable:
        raise
    except Exception as error:
        raise NotStackable(f"a stack of {len(trials)} cannot be trained ({described(error)})") from None


def _check_neighbour(programs: Programs, whole: Sequence[_Member]) -> None:
    """Hold every member to its bits beside one whose numbers overflow."""
    *others, last = [member.trial for member in whole]
    try:
        beside = _train(programs, [*others, replace(last, peak_lr=OVERFLOWING)])
    except Exception as error:
        raise NotStackable(f"a trial that diverges would end the others ({described(error)})") from None
    if not _same(beside[:-1], whole):
        raise NotStackable("a trial that diverges would change the others")


def _check_places(programs: Programs, whole: Sequence[_Member]) -> None:
    """Hold every member to its bits in other places of a stack."""
    trials = [member.trial for member in whole]
    for places in (1, len(trials) // 2 + 1):
        if not _same(_turned(_train(programs, _turned(trials, places)), -places), whole):
            raise NotStackable("its sums depend on the place in a stack")


def _mixes_seeds(programs: Programs, called: Programs, widths: Sequence[int], whole: Sequence[_Member]) -> bool:
    """Whether members of several seeds may share a stack: nothing is drawn at random, and the bits stay the same."""
    if programs.is_random or not isinstance(programs.bench.train, TensorExamples):
        return False
    mixed = [replace(member.trial, seed=place % 2) for place, member in enumerate(whole)]
    return all(_same(_train(called, mixed[:width])[::2], whole[::2]) for width in widths if width > 1)


def _turned(members: Sequence[Any], places: int) -> list[Any]:
    return [*members[places:], *members[:places]]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Member:
    """A member's first updates: (updates,) losses, every gradient on the way, weights and optimizer at the end.

    Gradients, because a learning rate hides from the weights what differs in a gradient's last bit.
    """

    trial: Trial
    losses: torch.Tensor
    numbers: Tensors


def _train(programs: Programs, trials: Sequence[Trial]) -> list[_Member]:
    """Every member's first updates in one stack."""
    stack = Stack(programs, trials, Stacking(widths=(len(trials),)))
    losses, numbers = [], []
    with programs.bench.training_rng(trials[0].seed):
        for step in range(UPDATES):
            loss, gradients = stack.differentiate(step)
            stack.descend(step, gradients)
            losses.append(loss)
            numbers += [*gradients, row_norms(gradients)]
    numbers += stack.optimizer.memory
    states = [[value.clone() for value in stack.load(member).state_dict().values()] for member in range(len(trials))]
    return [
        _Member(
            trial=trial,
            losses=torch.stack(losses)[:, member],
            numbers=[*(number[member] for number in numbers), *states[member]],
        )
        for member, trial in enumerate(trials)
    ]


def _same(some: Sequence[_Member], more: Sequence[_Member]) -> bool:
    """Whether the members of the shorter list are those of the longer one, bit for bit."""
    return all(
        torch.equal(one.losses, other.losses) and all(map(torch.equal, one.numbers, other.numbers))
        for one, other in zip(some, more, strict=False)
    )


def _check_first(programs: Programs, member: _Member) -> None:
    """Hold a member's first gradients and its losses to those of the loop."""
    bench, trial = programs.bench, member.trial
    model = bench.make_model(trial.seed)
    order = BatchOrder(bench.train_examples, trial.batch_size, trial.seed, bench.device)
    tolerance = TOLERANCE[bench.task.precision]
    with bench.training_rng(trial.seed):
        bench.batch_loss(model, bench.train.batch(order[0])).backward()  # type: ignore[no-untyped-call]
    weights = dict(model.named_parameters())
    expected = [_gradient(weights[name]) for name in programs.trainable]
    size = vector(expected).norm()
    for gradient, own in zip(member.numbers, expected, strict=False):
        if not (gradient - own).norm() <= tolerance * (own.norm() + 0.1 * size):
            raise NotStackable("its gradients come out otherwise when trials are stacked")
    training = Training.begin(bench, trial)
    if not all(map(torch.equal, model.parameters(), training.model.parameters())):
        raise NotStackable("its model changes its weights by itself")
    with bench.training_rng(trial.seed):
        losses = torch.stack([training.update(bench.train.batch(order[step])) for step in range(UPDATES)])
    if not torch.allclose(member.losses.double(), losses.double(), rtol=tolerance, atol=ROUNDING):
        raise NotStackable("its losses come out otherwise when trials are stacked")


def _check_optimizer(programs: Programs, trials: Sequence[Trial]) -> None:
    """Hold the stacked optimizer to the task's own, on the same gradients."""
    bench = programs.bench
    model = bench.make_model(0).train()
    weights = [dict(model.named_parameters())[name] for name in programs.trainable]
    optimizers = [bench.make_optimizer(model, trial.peak_lr) for trial in trials]
    twin = StackedGroups(optimizers, weights)
    stacked = [weight.detach().repeat(len(trials), *[1] * weight.dim()) for weight in weights]
    initial = [weight.detach().clone() for weight in weights]
    order = BatchOrder(bench.train_examples, trials[0].batch_size, 0, bench.device)
    with bench.training_rng(0):
        for step in range(UPDATES):
            model.zero_grad()
            bench.batch_loss(model, bench.train.batch(order[step])).backward()  # type: ignore[no-untyped-call]
            gradients = [_gradient(weight) for weight in weights]
            twin.step(stacked, [torch.stack([gradient] * len(trials)) for gradient in gradients], np.ones(len(trials)))
            optimizers[0].step()
    for weight, rows, start in zip(weights, stacked, initial, strict=True):
        allowed = 1e-3 * (weight - start).norm() + ROUNDING * weight.norm()
        if not (weight - rows[0]).norm() <= allowed:
            raise NotStackable(f"its optimizer {type(optimizers[0]).__name__} does not update as its stacked form does")


def _gradient(weight: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(weight) if weight.grad is None else weight.grad.to_dense()
