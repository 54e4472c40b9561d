"""A monitor inside the training loop: measures what the learning rate does, judges it live, and acts on divergence.

monitor = Monitor(optimizer, path="run.jsonl")
for inputs, targets in loader:
    loss = loss_function(model(inputs), targets)
    optimizer.zero_grad(); loss.backward(); optimizer.step()
    monitor.step(loss, again=lambda: loss_function(model(inputs), targets))
print(monitor.diagnosis().advice)
"""

from __future__ import annotations

import copy
import json
import math
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from lrscope.curves.curve import Curve
from lrscope.diagnosis.diagnose import Diagnosis, diagnose
from lrscope.errors import InvalidInput, WorkFailed
from lrscope.integrations.torch.stability import Sharpness, measure_sharpness

EVERY = 100
EARLY = (4, 9, 19, 39, 69)
"""Steps that are measured besides every EVERY-th: a short run needs a few, too."""

LOWERED = 0.3
"""What the learning rate is multiplied by at each rewind."""

MOST_REWINDS = 5
OnDivergence = Literal["warn", "stop", "rewind"]


class Diverged(WorkFailed):
    """The training diverged, and the monitor was asked to stop it."""


class ScalarWriter(Protocol):
    """What TensorBoard's SummaryWriter offers."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Log one value."""


@dataclass(frozen=True, kw_only=True)
class MonitorCost:
    """What the monitor has cost: seconds in all, per step, and as a share of the time since its first step."""

    seconds: float
    seconds_per_step: float
    share: float


@dataclass
class _Before:
    """A step's weights and gradients before the update."""

    weights: list[Tensor]
    gradients: list[Tensor]


class Monitor:
    """Watches an optimizer: feed it every step's loss.

    Arguments:
        optimizer: its step is hooked; weights and gradients are copied at measured steps alone.
        every: steps between measurements (besides a few early ones).
        path: the record as JSON lines, which `read_curves` and `lrscope diagnose` read.
        on_divergence: "warn" once; "stop" raises `Diverged`; "rewind" goes back to the last good state in memory with
        the
            rate times 0.3 (whatever scheduler is at work) and tells it in the record.
        model: with "rewind", its buffers (running means) are put back too.
        tensorboard: a SummaryWriter, for scalars under `lrscope/`.
        total_steps, batch_size: facts of the run, for the verdict.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        every: int = EVERY,
        path: str | os.PathLike[str] | None = None,
        on_divergence: OnDivergence = "warn",
        model: torch.nn.Module | None = None,
        tensorboard: ScalarWriter | None = None,
        total_steps: int | None = None,
        batch_size: int | None = None,
        name: str = "monitor",
    ) -> None:
        if every < 1:
            raise InvalidInput(f"The 'every' parameter of Monitor must be an int >= 1. Got {every}.")
        if on_divergence not in ("warn", "stop", "rewind"):
            raise InvalidInput(
                f"The 'on_divergence' parameter of Monitor must be 'warn', 'stop' or 'rewind'. Got {on_divergence!r}."
            )
        self.optimizer, self.every, self.on_divergence, self.name = optimizer, every, on_divergence, name
        self.events: list[str] = []
        self.rewinds = 0
        self._model, self._tensorboard = model, tensorboard
        self._batch_size, self._total_steps = batch_size, total_steps
        self._rows: list[dict[str, float]] = []
        self._losses: list[float] = []  # without the steps that a rewind undid
        self._before: _Before | None = None
        self._previous: list[Tensor] | None = None
        self._moved: dict[str, float] = {}
        self._lowest, self._warned, self._scale = math.inf, False, 1.0
        self._good: list[tuple[int, Any]] = []
        self._seconds, self._started = 0.0, None  # type: float, float | None
        self._file = open(path, "w", encoding="utf-8") if path is not None else None  # noqa: SIM115  # until close()
        self._written = 0
        self._hooks = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
        ]

    # --- in the loop ------------------------------------------------------------------------------------------------

    def step(self, loss: Tensor | float, again: Callable[[], Tensor] | None = None) -> None:
        """Tell the monitor of one update, after `optimizer.step()`.

        Arguments:
            loss: the loss that the update was made for.
            again: computes the loss of the same batch anew, with the present weights; called at measured steps, for α
            and
                the cosine of the gradients at both ends of the step. Without it they are not measured.

        Raises:
            Diverged: with on_divergence="stop", or when rewinding did not help.
        """
        start = time.perf_counter()
        self._started = self._started if self._started is not None else start
        value = float(loss.detach()) if isinstance(loss, Tensor) else float(loss)
        row = {"step": len(self._rows), "loss": value, "lr": self._lr()}
        if self._before is not None:
            row |= self._moved
            if again is not None and math.isfinite(value):
                row |= self._same_batch(value, again)
            self._previous, self._before, self._moved = self._before.gradients, None, {}
        self._rows.append(row)
        self._losses.append(value)
        if len(row) > 3:
            self._flush()
        self._seconds += time.perf_counter() - start
        self._check(value)

    def _measures(self, step: int) -> bool:
        return step % self.every == self.every - 1 or (step in EARLY and self.every > 1)

    def _before_step(self, *_: object) -> None:
        start = time.perf_counter()
        if self.on_divergence == "rewind" and not self._good:
            self._good = [(0, self._state())]
        if self._scale != 1.0:
            for group in self.optimizer.param_groups:
                group["lr"] = group["lr"] * self._scale
        if self._previous is not None:
            self._moved["consecutive_cosine"] = _cosine(self._previous, self._gradients())
            self._previous = None
        if self._measures(len(self._rows)):
            parameters = self._parameters()
            self._before = _Before([p.detach().clone() for p in parameters], [g.clone() for g in self._gradients()])
        self._seconds += time.perf_counter() - start

    def _after_step(self, *_: object) -> None:
        start = time.perf_counter()
        if self._scale != 1.0:
            for group in self.optimizer.param_groups:
                group["lr"] = group["lr"] / self._scale
        if self._before is not None:
            change = [p.detach() - w for p, w in zip(self._parameters(), self._before.weights, strict=True)]
            weight = _norm(self._before.weights)
            self._moved["grad_norm"] = _norm(self._before.gradients)
            self._moved["update_ratio"] = _norm(change) / weight if weight > 0 else math.inf
            self._before.weights = change
        self._seconds += time.perf_counter() - start

    def _same_batch(self, loss: float, again: Callable[[], Tensor]) -> dict[str, float]:
        """α and the cosine of the gradients at both ends of the step, on the step's own batch."""
        assert self._before is not None
        change, first = self._before.weights, self._before.gradients
        with torch.random.fork_rng(enabled=True), torch.enable_grad():
            after = again()
            found = torch.autograd.grad(after, self._parameters(), allow_unused=True)
        last = [g if g is not None else torch.zeros_like(c) for g, c in zip(found, change, strict=True)]
        slopes = _dot(first, change), _dot(last, change)
        return {
            "alpha": step_length(loss, float(after.detach()), *slopes),
            "gradient_cosine": _cosine(first, last),
        }

    # --- divergence -------------------------------------------------------------------------------------------------

    def _check(self, value: float) -> None:
        if not self._diverging(value):
            self._lowest = min(self._lowest, value)
            if self.on_divergence == "rewind" and len(self._losses) % min(self.every, 20) == 0:
                self._good = [*self._good[:1], *self._good[1:][-1:], (len(self._losses), self._state())]
            return
        step = len(self._rows) - 1
        what = f"The loss at step {step} is {value:.4g}: the training diverged at a learning rate of {self._lr():.3g}."
        if self.on_divergence == "rewind" and self._good and self.rewinds < MOST_REWINDS:
            self._rewind(what)
        elif self.on_divergence == "warn":
            if not self._warned:
                self._tell(what)
                warnings.warn(what, RuntimeWarning, stacklevel=3)
            self._warned = True
        else:
            self._tell(what)
            raise Diverged(what)

    def _diverging(self, value: float) -> bool:
        """Not finite, or the median of the last five losses far above the first: more than all that was gained."""
        if not math.isfinite(value) or abs(value) > 1e30:
            return True
        if len(self._losses) < 8:
            return False
        recent, first = float(np.median(self._losses[-5:])), float(np.median(self._losses[:3]))
        return recent > first + 2.0 * max(first - self._lowest, 0.25 * abs(first))

    def _state(self) -> Any:
        weights = [p.detach().clone() for p in self._parameters()]
        buffers = [b.detach().clone() for b in self._model.buffers()] if self._model is not None else []
        return weights, buffers, copy.deepcopy(self.optimizer.state_dict())

    def _rewind(self, what: str) -> None:
        # the last state may be lost already: its loss is known only from the steps after it
        self._good = self._good[: max(1, len(self._good) - 1)]
        step, (weights, buffers, state) = self._good[-1]
        rates = [group["lr"] for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(copy.deepcopy(state))
        with torch.no_grad():
            for parameter, weight in zip(self._parameters(), weights, strict=True):
                parameter.copy_(weight)
            for buffer, kept in zip(self._model.buffers() if self._model is not None else [], buffers, strict=True):
                buffer.copy_(kept)
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._scale *= LOWERED
        self.rewinds += 1
        self._tell(f"{what} Went back to the state after {step} steps; the rate is now {self._lr():.3g}.")
        lost = len(self._rows) - (len(self._losses) - step) if step <= len(self._losses) else len(self._rows)
        for row in self._rows[lost:]:
            row["lost"] = 1.0
        self._losses = self._losses[:step]

    def _tell(self, sentence: str) -> None:
        self.events.append(sentence)
        if self._file is not None:
            self._flush()
            self._file.write(json.dumps({"event": sentence, "at_step": len(self._rows) - 1}) + "\n")
            self._file.flush()

    # --- what it knows ----------------------------------------------------------------------------------------------

    def curve(self) -> Curve:
        """The record so far; steps that a rewind undid are left out."""
        rows = [row for row in self._rows if "lost" not in row]

        def series(name: str) -> NDArray[np.float64] | None:
            known = name == "lr" or any(name in row for row in rows)
            return np.array([row.get(name, math.nan) for row in rows]) if known else None

        return Curve(
            name=self.name,
            step=np.array([row["step"] for row in rows], dtype=np.int64),
            loss=np.array([row["loss"] for row in rows], dtype=np.float64),
            optimizer=optimizer_name(self.optimizer),
            batch_size=self._batch_size,
            total_steps=self._total_steps,
            lr=series("lr"),
            grad_norm=series("grad_norm"),
            grad_norm_l1=series("grad_norm_l1"),
            update_ratio=series("update_ratio"),
            alpha=series("alpha"),
            gradient_cosine=series("gradient_cosine"),
            sharpness=series("sharpness"),
        )

    def diagnosis(self) -> Diagnosis:
        """The verdict on the run so far; computed when asked for (about a millisecond)."""
        return diagnose(self.curve())

    @property
    def regime(self) -> str:
        """The regime of the run so far."""
        return self.diagnosis().regime

    def sharpness(self, again: Callable[[], Tensor], *, iterations: int = 20) -> Sharpness:
        """Measure the sharpness of a batch's loss against the optimizer's limit, and put it into the record."""
        found = measure_sharpness(self.optimizer, again, iterations=iterations)
        if self._rows:
            self._rows[-1]["sharpness"] = found.value
        return found

    def cost(self) -> MonitorCost:
        """What the monitor has cost so far, measured."""
        elapsed = time.perf_counter() - self._started if self._started is not None else math.inf
        return MonitorCost(
            seconds=self._seconds,
            seconds_per_step=self._seconds / max(1, len(self._rows)),
            share=self._seconds / elapsed,
        )

    def close(self) -> None:
        """Write what is left of the record and take the hooks off the optimizer."""
        self._flush()
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _flush(self) -> None:
        fresh, self._written = self._rows[self._written :], len(self._rows)
        for row in fresh:
            if self._file is not None:
                known = self._facts() if row["step"] == 0 else {}
                self._file.write(json.dumps({**row, **known}) + "\n")
            if self._tensorboard is not None:
                for name, value in row.items():
                    if name != "step" and math.isfinite(value):
                        self._tensorboard.add_scalar(f"lrscope/{name}", value, int(row["step"]))
        if self._file is not None:
            self._file.flush()

    def _facts(self) -> dict[str, str | int]:
        facts = {
            "optimizer": optimizer_name(self.optimizer),
            "batch_size": self._batch_size,
            "total_steps": self._total_steps,
        }
        return {name: value for name, value in facts.items() if value is not None}

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.optimizer.param_groups for p in group["params"] if p.requires_grad]

    def _gradients(self) -> list[Tensor]:
        return [p.grad.detach() if p.grad is not None else torch.zeros_like(p) for p in self._parameters()]

    def _lr(self) -> float:
        return self._scale * max(float(group["lr"]) for group in self.optimizer.param_groups)


def step_length(loss0: float, loss1: float, slope0: float, slope1: float) -> float:
    """The normalised step length α: −1 stays put, 0 steps into the parabola's minimum, above 1 climbs, within [−1, 5].

    The parabola is the least-squares fit to both losses and both directional derivatives (per whole step); its slope at
    the start is slope0 + (loss1 − loss0 − (slope0 + slope1)/2)/5, its curvature slope1 − slope0
    (Cockpit, Schneider 2021, arXiv 2102.06604).

    >>> step_length(1.0, 0.0, -2.0, 0.0)
    0.0
    >>> step_length(1.0, 1.0, -4.0, 4.0)
    1.0
    """
    slope = slope0 + (loss1 - loss0 - 0.5 * (slope0 + slope1)) / 5.0
    curvature = slope1 - slope0
    if not curvature > 0:
        return -1.0
    return min(max(-curvature / slope - 1.0, -1.0), 5.0) if slope < 0 else 5.0


def optimizer_name(optimizer: Optimizer) -> str:
    """The optimizer as a curve's fact: `adam`, `sgd`, `momentum0.9`."""
    name = type(optimizer).__name__.lower()
    momentum = float(optimizer.param_groups[0].get("momentum", 0.0) or 0.0)
    return f"momentum{momentum:g}" if name == "sgd" and momentum else name


def _dot(a: list[Tensor], b: list[Tensor]) -> float:
    return float(torch.stack([(x * y).sum() for x, y in zip(a, b, strict=True)]).sum())


def _norm(tensors: list[Tensor]) -> float:
    return float(torch.stack(torch._foreach_norm(tensors)).norm())


def _cosine(a: list[Tensor], b: list[Tensor]) -> float:
    size = _norm(a) * _norm(b)
    return _dot(a, b) / size if size > 0 else math.nan
