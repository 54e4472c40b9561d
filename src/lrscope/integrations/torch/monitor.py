"""A monitor inside the training loop: measures what the learning rate does, judges it live, and acts on divergence.

monitor = Monitor(optimizer, path="run.jsonl")
for inputs, targets in loader:
    loss = loss_function(model(inputs), targets)
    optimizer.zero_grad(); loss.backward(); optimizer.step()
    monitor.step(loss, again=lambda: loss_function(model(inputs), targets))
print(monitor.diagnosis().advice)
"""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from lrscope.curves.curve import Curve
from lrscope.diagnosis.diagnose import Diagnosis, diagnose
from lrscope.errors import InvalidInput, WorkFailed
from lrscope.integrations.torch.monitor_record import Facts, MonitorRecord, ScalarWriter
from lrscope.integrations.torch.rewind import DivergenceWatch, Rewinder
from lrscope.integrations.torch.stability import Sharpness, measure_sharpness
from lrscope.integrations.torch.step_meter import StepMeter

EVERY = 100
EARLY = (4, 9, 19, 39, 69)
"""Steps that are measured besides every EVERY-th: a short run needs a few, too."""

LOWERED = 0.3
"""What the learning rate is multiplied by at each rewind."""

MOST_REWINDS = 5
FIRST_LOOK, LATER = 50, 2.0
"""The live verdict is looked at after so many steps, and again after so many times the steps: a dozen looks a run."""

OnDivergence = Literal["warn", "stop", "rewind"]


class Diverged(WorkFailed):
    """The training diverged, and the monitor was asked to stop it."""


@dataclass(frozen=True, kw_only=True)
class MonitorCost:
    """What the monitor has cost: seconds in all, per step, and as a share of the time since its first step."""

    seconds: float
    seconds_per_step: float
    share: float


class Monitor:
    """Watches an optimizer: feed it every step's loss.

    Arguments:
        optimizer: its step is hooked; weights and gradients are copied at measured steps alone.
        every: steps between measurements (besides a few early ones).
        path: the record as JSON lines, which `read_curves` and `lrscope diagnose` read.
        on_divergence: "warn" once; "stop" raises `Diverged`; "rewind" goes back to the last good state in memory with
            the rate times 0.3 (whatever scheduler is at work) and tells it in the record.
        model: its buffers (running means) are left as they are by `again`, and put back by a rewind.
        tensorboard: a SummaryWriter, for scalars under `lrscope/`.
        total_steps, batch_size: facts of the run, for the verdict.

    `events` holds what was told: a verdict that changed, a divergence, a rewind.
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
        self.optimizer, self.every, self.on_divergence = optimizer, every, on_divergence
        self.rewinds = 0
        facts = {"optimizer": optimizer_name(optimizer), "batch_size": batch_size, "total_steps": total_steps}
        known: Facts = {key: value for key, value in facts.items() if value is not None}
        self._record = MonitorRecord(name, known, path, tensorboard)
        self._watch, self._rewinder = DivergenceWatch(), Rewinder(optimizer, model)
        self._meter = StepMeter(optimizer, self._rewinder.buffers_kept)
        self._warned, self._scale = False, 1.0
        self._rates: list[Any] = []  # as the scheduler has them, while an update is made at lower ones
        self._said, self._look_at = "", float(FIRST_LOOK)
        self._seconds, self._started = 0.0, None  # type: float, float | None
        self._hooks = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
        ]

    # --- in the loop ---

    def step(self, loss: Tensor | float, again: Callable[[], Tensor] | None = None) -> None:
        """Tell the monitor of one update, after `optimizer.step()`.

        Arguments:
            loss: the loss that the update was made for.
            again: computes the loss of the same batch anew, with the present weights; called at measured steps, for α
                and the cosine of the gradients at both ends of the step. Without it they are not measured.

        Raises:
            Diverged: with on_divergence="stop", or when rewinding did not help.
        """
        start = time.perf_counter()
        self._started = self._started if self._started is not None else start
        value = _number(loss)
        found = self._meter.found
        try:
            self._meter.finish(value, again)
        finally:  # a step counts even where `again` fails
            self._record.add(value, self._lr(), found)
        if self._watch.diverging(self._record.losses):
            self._act(value)
        elif found and len(self._record) >= self._look_at:
            self._judge()
        if self.on_divergence == "rewind" and len(self._record) % self.every == 0 and len(self._record):
            self._rewinder.keep(len(self._record))
        self._seconds += time.perf_counter() - start

    def _before_step(self, _: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        start = time.perf_counter()
        if self.on_divergence == "rewind" and self._rewinder.empty:
            self._rewinder.keep(0)
        self._lower_rates()
        step = self._record.count
        whole = step % self.every == self.every - 1 or step in EARLY
        closure = any(value is not None for value in (*args[1:], *kwargs.values()))  # the first is the optimizer
        self._meter.before(whole=whole, closure=closure)
        self._seconds += time.perf_counter() - start

    def _lower_rates(self) -> None:
        """Put the lowered rates in place for one update; those of an update that failed are given back first."""
        if self._rates:
            self._give_back_rates()
        if self._scale != 1.0:
            self._rates = [group["lr"] for group in self.optimizer.param_groups]
            for group in self.optimizer.param_groups:
                group["lr"] = group["lr"] * self._scale

    def _give_back_rates(self) -> None:
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=False):
            group["lr"] = rate
        self._rates = []

    def _after_step(self, *_: object) -> None:
        start = time.perf_counter()
        if self._rates:
            self._give_back_rates()
        self._meter.after()
        self._seconds += time.perf_counter() - start

    # --- what it does ---

    def _judge(self) -> None:
        """Tell the verdict where it has changed."""
        self._look_at = LATER * len(self._record)
        found = self.diagnosis()
        if found.regime not in (self._said, "inconclusive"):
            self._said = found.regime
            chance = found.probabilities[found.regime]
            says = " ".join(item.says for item in found.evidence[:2])
            word = found.regime.replace("_", " ")
            self._record.tell(
                f"Step {self._record.count - 1}: the learning rate looks {word} ({100 * chance:.0f} %). {says}"
            )

    def _act(self, value: float) -> None:
        step = self._record.count - 1
        what = f"The loss at step {step} is {value:.4g}: the training diverged at a learning rate of {self._lr():.3g}."
        if self.on_divergence == "rewind" and self.rewinds < MOST_REWINDS:
            length = self._rewinder.back()
            self._scale *= LOWERED
            self.rewinds += 1
            back = f"Went back to the state after {length} steps; the rate is now {self._lr():.3g}."
            self._record.tell(f"{what} {back}")
            self._record.undo(length)
            self._meter.forget()
        elif self.on_divergence == "warn":
            if not self._warned:
                self._record.tell(what)
                warnings.warn(what, RuntimeWarning, stacklevel=3)
            self._warned = True
        else:
            self._record.tell(what)
            raise Diverged(what)

    # --- what it knows ---

    @property
    def events(self) -> list[str]:
        """What was told, in order."""
        return self._record.events

    def curve(self) -> Curve:
        """The record so far; steps that a rewind undid are left out."""
        return self._record.curve()

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
        if len(self._record):
            self._record.measured.setdefault(len(self._record) - 1, {})["sharpness"] = found.value
        return found

    def cost(self) -> MonitorCost:
        """What the monitor has cost so far, measured."""
        elapsed = time.perf_counter() - self._started if self._started is not None else math.inf
        steps = max(1, self._record.count)
        return MonitorCost(
            seconds=self._seconds, seconds_per_step=self._seconds / steps, share=self._seconds / elapsed
        )  # fmt: skip

    def close(self) -> None:
        """Write what is left of the record and take the hooks off the optimizer."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        self._record.flush()

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lr(self) -> float:
        return self._scale * max([float(group["lr"]) for group in self.optimizer.param_groups])


def optimizer_name(optimizer: Optimizer) -> str:
    """The optimizer as a curve's fact: `adam`, `sgd`, `momentum0.9`."""
    name = type(optimizer).__name__.lower()
    momentum = float(optimizer.param_groups[0].get("momentum", 0.0) or 0.0)
    return f"momentum{momentum:g}" if name == "sgd" and momentum else name


def _number(loss: Tensor | float) -> float:
    if not isinstance(loss, Tensor):
        return float(loss)
    if loss.numel() != 1:
        raise InvalidInput(
            f"The 'loss' of Monitor.step must be one number, the mean of a batch. Got shape {tuple(loss.shape)}."
        )
    return float(loss.detach())
