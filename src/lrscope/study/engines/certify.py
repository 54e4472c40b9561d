"""Whether a task's trials may be stacked: checked on a few real updates before any trial is trained so.

A stack must train as the loop does, and a member must come out the same bit for bit whatever it is stacked with, or a
study that was interrupted would not end as one that was not. Neither can be read off a model: the kernels that a
machine chooses for a stack of eight may sum in another order than those for a stack of two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from lrscope.study.bench import BatchOrder
from lrscope.study.data import TensorExamples
from lrscope.study.engines.base import NotStackable, Stacking
from lrscope.study.engines.loop import update
from lrscope.study.engines.program import Programs, Tensors
from lrscope.study.engines.stack import Stack
from lrscope.study.engines.stacked_optimizers import StackedGroups
from lrscope.study.trial import Trial

UPDATES = 3
TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}
"""How far a stack's numbers may lie from the loop's: rounding lies far below, another computation far above."""

ROUNDING = 1e-6


def certify(programs: Programs, batch_size: int, width: int = Stacking().width) -> Stacking:
    """How trials of a batch size may be stacked, at most `width` of them.

    Raises:
        NotStackable: they cannot be, or would train otherwise.
    """
    trials = [_trial(batch_size, lr=1e-3 * (1 + member / width), seed=0) for member in range(width)]
    _check_optimizer(programs, trials)
    whole = _train(programs, trials)
    _check_losses(programs, trials[0], whole[0].losses)
    widths = sorted({2, width // 2, width - 1} - {0, 1, width})
    others = [_train(programs, trials[:narrow]) for narrow in widths] + [_train(programs, trials[::-1])[::-1]]
    if any(not _same(other, whole) for other in others):
        raise NotStackable("its sums depend on how many trials are stacked")
    alone = _train(programs, trials[:1])
    return Stacking(
        width=width, narrowest=1 if _same(alone, whole) else 2, mixes_seeds=_mixes_seeds(programs, trials, whole)
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Member:
    """What a member is after a few updates."""

    losses: torch.Tensor
    weights: Tensors


def _trial(batch_size: int, lr: float, seed: int) -> Trial:
    return Trial(
        batch_size=batch_size, peak_lr=lr, schedule="constant", seed=seed, total_steps=UPDATES, stop_at=UPDATES
    )


def _train(programs: Programs, trials: Sequence[Trial]) -> list[_Member]:
    """Every member after a few updates in one stack."""
    stack = Stack(programs, trials, narrowest=1)
    losses = torch.zeros(len(trials), UPDATES, device=programs.bench.device)
    with programs.bench.training_rng(trials[0].seed):
        for step in range(UPDATES):
            stack.update(step, losses, {})
    return [
        _Member(losses=losses[member], weights=[tensor.clone() for tensor in stack.load(member).state_dict().values()])
        for member in range(len(trials))
    ]


def _same(some: Sequence[_Member], more: Sequence[_Member]) -> bool:
    """Whether the members of the shorter list are those of the longer one, bit for bit."""
    return all(
        torch.equal(one.losses, other.losses) and all(map(torch.equal, one.weights, other.weights))
        for one, other in zip(some, more, strict=False)
    )


def _mixes_seeds(programs: Programs, trials: Sequence[Trial], whole: Sequence[_Member]) -> bool:
    """Whether members of several seeds may share a stack: nothing is drawn at random, and the bits stay the same."""
    if programs.is_random or not isinstance(programs.bench.train, TensorExamples):
        return False
    mixed = [replace(trial, seed=member % 2) for member, trial in enumerate(trials)]
    trained, pair = _train(programs, mixed), _train(programs, mixed[:2])
    return _same(trained[::2], whole[::2]) and _same(pair, trained)


def _check_losses(programs: Programs, trial: Trial, losses: torch.Tensor) -> None:
    """Hold a member's losses to those of the loop."""
    bench = programs.bench
    model = bench.make_model(trial.seed).train()
    optimizer = bench.make_optimizer(model, trial.peak_lr)
    order = BatchOrder(bench.train_examples, trial.batch_size, trial.seed, bench.device)
    with bench.training_rng(trial.seed):
        expected = torch.stack([update(bench, model, optimizer, order[step], None, step) for step in range(UPDATES)])
    if not torch.allclose(losses, expected.float(), rtol=TOLERANCE[bench.task.precision], atol=ROUNDING):
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
    return torch.zeros_like(weight) if weight.grad is None else weight.grad
