"""What single updates do, measured: gradient norms, the size of the change, and both ends of the step on one batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from lrscope.integrations.torch.rewind import parameters
from lrscope.integrations.torch.step_length import step_length, unclipped_slope
from lrscope.integrations.torch.tensors import dot, norm, together


@dataclass(eq=False)
class _Measured:
    """A measured step: its weights before the update, later its change; its gradients; what is known so far."""

    weights: list[Tensor]
    gradients: list[Tensor]
    found: dict[str, float]


class StepMeter:
    """Measures the update about to be made, from before it to after it; the update that follows is compared with it.

    Arguments:
        optimizer: whose weights and gradients are copied, at measured steps alone.
        buffers_kept: leaves the model's buffers as they are while a batch is looked at again.
    """

    def __init__(self, optimizer: Optimizer, buffers_kept: Callable[[], AbstractContextManager[None]]) -> None:
        self.optimizer = optimizer
        self._buffers_kept = buffers_kept
        self._measured: _Measured | None = None
        self._previous: list[Tensor] | None = None  # gradients of a measured step just made

    @property
    def found(self) -> dict[str, float]:
        """What is known of the step so far, by name; `finish` adds to it."""
        return {} if self._measured is None else self._measured.found

    def before(self, *, whole: bool, closure: bool) -> None:
        """An update is about to be made.

        Arguments:
            whole: measure all of it; else at most its gradients, against those of a measured step just before.
            closure: the gradients are computed only within the update.
        """
        self._measured = None
        if self._previous is not None or whole:
            weights = [p.detach().clone() for p in parameters(self.optimizer)] if whole else []
            self._measured = _Measured(weights, [], {})
            if not closure:
                self._look(self._measured)

    def after(self) -> None:
        """The update was made."""
        measured = self._measured
        if measured is not None and not measured.gradients:
            self._look(measured)
        if measured is not None and measured.weights:
            size = float(norm(measured.weights))
            change = [p.detach() - w for p, w in zip(parameters(self.optimizer), measured.weights, strict=True)]
            measured.found["update_ratio"] = float(norm(change)) / size if size > 0 else math.inf
            measured.weights = change

    def finish(self, loss: float, again: Callable[[], Tensor] | None) -> None:
        """The update's loss is known, and where `again` is given, the same batch's loss at the new weights can be."""
        measured, self._measured = self._measured, None
        if measured is None:
            return
        if again is not None and math.isfinite(loss) and measured.weights:
            measured.found |= self._same_batch(measured, loss, again)
        self._previous = measured.gradients if measured.weights else None

    def forget(self) -> None:
        """The weights were put back: the next update has none before it."""
        self._previous = None

    def _look(self, measured: _Measured) -> None:
        """Take the gradients of the step."""
        gradients = self._gradients()
        previous, self._previous = self._previous, None
        if previous is not None and _alike(previous, gradients):
            measured.found["consecutive_cosine"] = _cosine(previous, gradients)
        if measured.weights:
            measured.found["grad_norm"] = float(norm(gradients))
            measured.found["grad_norm_l1"] = float(together(torch._foreach_norm(gradients, 1)).sum())
            gradients = [g.clone() for g in gradients]
        measured.gradients = gradients

    def _same_batch(self, measured: _Measured, loss: float, again: Callable[[], Tensor]) -> dict[str, float]:
        """α and the cosine of the gradients at both ends of the step, on the step's own batch."""
        change, first = measured.weights, measured.gradients
        devices = {p.device.index for p in parameters(self.optimizer) if p.device.type == "cuda"}
        with torch.random.fork_rng(devices), torch.enable_grad(), self._buffers_kept():
            after = again()
            found = torch.autograd.grad(after, parameters(self.optimizer), allow_unused=True)
        last = [g.to_dense() if g is not None else torch.zeros_like(c) for g, c in zip(found, change, strict=True)]
        loss1, slope1 = float(after.detach()), float(dot(last, change))
        slope0 = unclipped_slope(loss, loss1, float(dot(first, change)), slope1)
        return {"alpha": step_length(loss, loss1, slope0, slope1), "gradient_cosine": _cosine(first, last)}

    def _gradients(self) -> list[Tensor]:
        found = [
            p.grad.detach().to_dense() if p.grad is not None else torch.zeros_like(p)
            for p in parameters(self.optimizer)
        ]
        scale = getattr(self.optimizer, "grad_scale", None)  # a GradScaler leaves it to a fused optimizer to undo
        return found if scale is None else [g / scale.to(g.device) for g in found]


def _alike(a: list[Tensor], b: list[Tensor]) -> bool:
    """Whether two lists of gradients are of the same weights: some may have been frozen or added between."""
    return [x.shape for x in a] == [x.shape for x in b]


def _cosine(a: list[Tensor], b: list[Tensor]) -> float:
    size = float(norm(a)) * float(norm(b))
    return float(dot(a, b)) / size if size > 0 else math.nan
