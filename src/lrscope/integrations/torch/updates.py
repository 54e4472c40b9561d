"""Whether an optimizer has made an update: what a scheduler must know to count updates rather than calls."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

MOST_LOOKS = 32
"""Looks in a row that find no gradient at all, after which a schedule is taken to be only looked at."""


class UpdateWatch:
    """Learns of every update of one optimizer through PyTorch's process-wide hook; the optimizer itself is not touched.

    `updated` is True if an update was made since it was last set to False. `before_update` is called before each.
    """

    def __init__(self, optimizer: Optimizer, before_update: Callable[[], None]) -> None:
        self.updated = False
        self._heard = False
        self._replayed = False
        self._found_inf: torch.Tensor | None = None
        self._looks_left = MOST_LOOKS
        self._cuda = torch.cuda.is_available()
        self._optimizer = weakref.ref(optimizer)
        self._before_update = weakref.WeakMethod(before_update)
        _listen()
        watches = _watches.setdefault(optimizer, [])
        watches[:] = [*(one for one in watches if one() is not None), weakref.ref(self)]

    def forget(self) -> None:
        """The next update is the first one that is looked for, as after a state was loaded."""
        self.updated = False
        self._looks_left = MOST_LOOKS

    def note(self, optimizer: Optimizer) -> None:
        """The optimizer is about to make an update."""
        before_update = self._before_update()
        if before_update is not None:
            before_update()
        self._replayed = self._cuda and torch.cuda.is_current_stream_capturing()
        self._found_inf = getattr(optimizer, "found_inf", None)  # a fused optimizer skips inside its kernel
        self.updated = self._found_inf is None
        self._heard = self._heard or self.updated

    def was_skipped(self) -> bool:
        """Whether the update since the last call, of which nothing certain was heard, was skipped.

        Where updates have been heard of, silence says so, unless a CUDA graph replays them. Where none ever was (the
        first ones were skipped, the schedule is only being looked at, or something else than `optimizer.step()` makes
        the updates), gradients that are not finite do.
        """
        if self._found_inf is not None:
            found_inf, self._found_inf = self._found_inf, None
            self._heard = True
            return bool(found_inf.item())
        if self._heard or self._replayed:
            return not self._replayed
        if not self._looks_left:
            return False
        optimizer = self._optimizer()
        groups = optimizer.param_groups if optimizer is not None else []
        gradients = [p.grad for group in groups for p in group["params"] if p.grad is not None]
        self._looks_left = MOST_LOOKS if gradients else self._looks_left - 1
        return any(not bool(torch.isfinite(gradient).all()) for gradient in gradients)


_watches: weakref.WeakKeyDictionary[Optimizer, list[weakref.ref[UpdateWatch]]] = weakref.WeakKeyDictionary()


@cache
def _listen() -> None:
    register_optimizer_step_pre_hook(_note_update)


def _note_update(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    for reference in _watches.get(optimizer, ()):
        watch = reference()
        if watch is not None:
            watch.note(optimizer)
