"""The gradient noise of a task, measured along a short training: its scale, its course, the critical batch size.

At a dozen places the weights stand still for a moment while the gradients of many single examples are compared; the
training in between is the same, update by update, as without. What is averaged are tr Σ and |G|², apart.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscope.errors import InvalidInput
from lrscope.estimate import Estimate
from lrscope.noise.branched import BranchedCriticalBatch
from lrscope.noise.critical_batch import critical_batch_size
from lrscope.noise.noise_scale import pool_noise_scales

if TYPE_CHECKING:
    from lrscope.study.bench import Bench
    from lrscope.study.noise_course import NoiseCourse
    from lrscope.study.task import Task

MOST_STEPS = 400
"""A short training: the full run where that is shorter, else its schedule in so many updates."""


@dataclass(frozen=True, kw_only=True)
class NoisePoint:
    """The noise scale after `step` updates, and the mean loss of the batches since the last one (NaN at step 0)."""

    step: int
    noise_scale: Estimate
    loss: float


@dataclass(frozen=True, kw_only=True)
class NoiseResult:
    """The gradient noise of a task.

    Arguments:
        initial: B_simple = tr Σ / |G|² at the initial weights.
        noise_scale: the same over the training, tr Σ and |G|² averaged apart.
        trajectory: at each place. steps: the updates of the training, ended early where it diverged.
        critical_batch_size: E_min/S_min of the training by its noise scales, each update weighed by what it gains.
        adam: the averaged noise scale in Adam's metric, for optimizers with a second moment.
        branched: the critical batch size as branches of larger batches found it, where asked for.
    """

    task: str
    batch_size: int
    lr: float
    lr_from: str
    optimizer: str
    steps: int
    initial: Estimate
    noise_scale: Estimate
    trajectory: tuple[NoisePoint, ...]
    critical_batch_size: Estimate
    adam: Estimate | None
    branched: BranchedCriticalBatch | None
    notes: tuple[str, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The answer as `lrscope noise --json` prints it (schema lrscope/noise/1)."""
        document: dict[str, Any] = {
            "schema": "lrscope/noise/1",
            "task": self.task,
            "batch_size": self.batch_size,
            "lr": self.lr,
            "lr_from": self.lr_from,
            "initial": self.initial.to_json(),
            "noise_scale": self.noise_scale.to_json(),
            "trajectory": [
                {
                    "step": point.step,
                    "noise_scale": point.noise_scale.value,
                    "low": point.noise_scale.low,
                    "high": point.noise_scale.high,
                    "loss": point.loss,
                }
                for point in self.trajectory
            ],
            "critical_batch_size": self.critical_batch_size.to_json(),
            "adam": None if self.adam is None else self.adam.to_json(),
            "notes": list(self.notes),
            "seconds": self.seconds,
        }
        if self.branched is not None:
            document["branched"] = {
                "critical_batch_size": self.branched.critical_batch_size.to_json(),
                "tolerance": self.branched.tolerance,
                "branches": [
                    {"batch_size": round(factor * self.branched.batch_size), "excess_loss": excess.to_json()}
                    for factor, excess in zip(self.branched.multipliers, self.branched.excess_loss, strict=True)
                ],
            }
        return document


def measure_noise(
    task: Task | str,
    *,
    batch_size: int | None = None,
    lr: float | None = None,
    seed: int = 0,
    steps: int | None = None,
    examples: int = 1024,
    branches: bool = False,
) -> NoiseResult:
    """Measure the gradient noise scale of a task along a short training, and the critical batch size.

    B_simple = tr Σ / |G|² (McCandlish 2018, arXiv 1812.06162), from the gradients of single examples by torch.func, or
    of whole batches where a model ties its examples together (BatchNorm).

    Arguments:
        task: a Task, or `path/to/file.py:function`.
        batch_size: of the training; the task's middle one by default.
        lr: its peak learning rate; by default the optimizer's own default.
        seed: fixes weights, data order, and which examples are measured.
        steps: updates of the training; the full run's, 400 at most, by default.
        examples: compared at each place; four times as many at the initial weights.
        branches: measure the critical batch size by branches of larger batches as well.

    Returns:
        The noise scale with its 80 % interval, its course, and the critical batch size.

    Raises:
        InvalidInput: an argument that cannot be used. WorkFailed: gradients that are not finite before the training.
    """
    from lrscope.study.bench import Bench, one_thread
    from lrscope.study.check import check_task
    from lrscope.study.load import TaskSource
    from lrscope.study.noise_course import NoiseCourse
    from lrscope.study.task import check_batch_sizes

    started = time.perf_counter()
    bench = Bench(TaskSource.of(task).load())
    sizes = bench.task.batch_sizes
    size = sizes[len(sizes) // 2] if batch_size is None else batch_size
    check_batch_sizes([size], "measure_noise")
    total = bench.task.total_steps(size, bench.train_examples)
    for name, value in (("lr", lr), ("steps", steps), ("examples", examples)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InvalidInput(f"The '{name}' of measure_noise must be positive and finite. Got {value}.")
    check_task(bench, size)
    with one_thread():
        course = NoiseCourse(bench, size, lr, seed, min(total, MOST_STEPS) if steps is None else steps, examples)
        course.run()
        branched = None
        if branches:
            from lrscope.study.branches import measure_branches

            branched = measure_branches(bench, size, course.lr, seed, len(course.losses))
    return _result(bench, course, branched, "given" if lr is not None else "the optimizer's default", started)


def _result(
    bench: Bench, course: NoiseCourse, branched: BranchedCriticalBatch | None, lr_from: str, started: float
) -> NoiseResult:
    weights = _weights(course.places, len(course.losses))
    overlap = min(1.0, course.examples / bench.train_examples)
    adam = None
    if course.adam:
        adam = pool_noise_scales(course.adam, weights[-len(course.adam) :], overlap=overlap).estimate
    return NoiseResult(
        task=bench.task.name,
        batch_size=course.size,
        lr=course.lr,
        lr_from=lr_from,
        optimizer=bench.task.optimizer_name,
        steps=len(course.losses),
        initial=course.scales[0].estimate,
        noise_scale=pool_noise_scales(course.scales, weights, overlap=overlap).estimate,
        trajectory=tuple(
            NoisePoint(step=place, noise_scale=scale.estimate, loss=_mean(course.losses[before:place]))
            for before, place, scale in zip([0, *course.places], course.places, course.scales, strict=False)
        ),
        critical_batch_size=critical_batch_size(course.scales, course.size, weights, overlap=overlap),
        adam=adam,
        branched=branched,
        notes=tuple(course.notes),
        seconds=time.perf_counter() - started,
    )


def _weights(places: Sequence[int], steps: int) -> list[float]:
    """The updates that each place stands for: those nearer to it than to its neighbours."""
    edges = [0.0, *((a + b) / 2 for a, b in pairwise(places)), float(max(steps, places[-1]))]
    return [max(after - before, 1e-9) for before, after in pairwise(edges)]


def _mean(losses: Sequence[float]) -> float:
    return float(np.mean(losses)) if losses else math.nan
