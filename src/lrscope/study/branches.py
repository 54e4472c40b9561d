"""The critical batch size measured by training on: branches from one checkpoint, each with a larger batch.

Each branch sees the same examples in k times fewer updates of k times as many, at √k·η (Adam) or k·η (SGD); the
largest k whose loss stays within a tolerance of the branch k = 1 is the critical one (Merrill 2025, arXiv 2505.23971).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lrscope.errors import InvalidInput
from lrscope.noise.branched import BranchedCriticalBatch, branched_critical_batch

if TYPE_CHECKING:
    import torch

    from lrscope.study.bench import Bench

MULTIPLIERS = (1, 2, 4, 8, 16, 32)
FEWEST_UPDATES = 4
ORDERS = 3
"""Data orders that each branch is trained with; they are compared one by one."""
EXAMPLES_MEASURED = 2048


def measure_branches(
    bench: Bench, batch_size: int, lr: float, seed: int, steps: int, *, tolerance: float = 0.01
) -> BranchedCriticalBatch:
    """Train `steps` updates, then branch over as many examples again.

    Arguments:
        lr: constant, for the training and for the branch k = 1.
        tolerance: the excess loss that still counts as none, in nats.

    Raises:
        InvalidInput: the training is too short for two branches.
    """
    multipliers = [k for k in MULTIPLIERS if steps // k >= FEWEST_UPDATES and k * batch_size <= bench.train_examples]
    if len(multipliers) < 2:
        raise InvalidInput(
            f"Branches need {2 * FEWEST_UPDATES} updates or more, and training data of two batches. Got {steps} "
            f"updates, and {bench.train_examples} examples at batch size {batch_size}."
        )
    model = bench.make_model(seed)
    optimizer = bench.make_optimizer(model, lr)
    _train(bench, model, optimizer, range(steps), batch_size, seed)
    adaptive = any("exp_avg_sq" in state for state in optimizer.state.values())
    losses = np.array([
        [_branch(bench, model, optimizer, k, batch_size, seed + 1 + order, steps, adaptive) for order in range(ORDERS)]
        for k in multipliers
    ])  # fmt: skip
    return branched_critical_batch(batch_size, multipliers, losses, tolerance=tolerance)


def _branch(
    bench: Bench,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    k: int,
    batch_size: int,
    order: int,
    steps: int,
    adaptive: bool,
) -> float:
    """The training loss, over a fixed subset, after the same examples in updates of k batches; inf if it diverged."""
    twin = copy.deepcopy(model)
    own = bench.make_optimizer(twin, 1.0)
    own.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for group in own.param_groups:
        group["lr"] *= math.sqrt(k) if adaptive else k
    _train(bench, twin, own, range(steps // k), k * batch_size, order)
    loss, _ = bench.evaluate(twin, bench.train, limit=EXAMPLES_MEASURED)
    return loss if math.isfinite(loss) else math.inf


def _train(
    bench: Bench,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    updates: Sequence[int],
    batch_size: int,
    seed: int,
) -> None:
    from lrscope.study.bench import BatchOrder
    from lrscope.study.engines.loop import Training

    training = Training(bench, model, optimizer)
    order = BatchOrder(bench.train_examples, batch_size, seed, bench.device)
    model.train()
    with bench.training_rng(seed):
        for step in updates:
            training.update(bench.train.batch(order[step]))
