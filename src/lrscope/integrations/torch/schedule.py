"""A schedule as a PyTorch learning rate scheduler: the rate is always `peak * schedule(step)`, whatever came before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lrscope.errors import InvalidInput, MissingExtra
from lrscope.integrations.torch.riders import Rider, make_riders
from lrscope.integrations.torch.shares import Shares
from lrscope.schedules.schedule import Schedule
from lrscope.schedules.text import parse_schedule

try:
    from torch import Tensor
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler
    from typing_extensions import override
except ImportError as error:
    raise MissingExtra("torch", "torch") from error

from lrscope.integrations.torch.updates import UpdateWatch


class ScheduledLR(LRScheduler):
    """Sets every param group's learning rate to `peak * schedule(step)`; call `step()` once after each update.

    The rate is a pure function of the step, so the state is the step alone, and restoring it together with the
    optimizer's, in any order, gives the right rates. The optimizer is left as it is but for its rates (and the note of
    its peak that each param group carries as `initial_lr`, PyTorch's own convention, so that a checkpoint of the
    optimizer knows its peaks): `optimizer.step` is not patched. A call of `step()` counts only if the optimizer has
    made an update since the last one, so updates that a `GradScaler` skips do not move the schedule; before the first
    update, calls count unless there are gradients that are not finite.

    Arguments:
        optimizer: each param group keeps its own peak, the rate it was made with. Rates that are tensors are filled in
            place. Groups added later are picked up before their first update.
        schedule: a `Schedule`, its text form (then `total_steps` says how long the run is), or one per param group;
            groups added later follow the last one.
        total_steps: the run's length in updates, for text forms only.
        peak_lr: the peak, or one per group, in place of the optimizer's own rates.
        weight_decay: a schedule for the share of each group's own weight decay.
        momentum: likewise for the momentum, which is β₁ for the optimizers that have betas.
        betas: likewise for (β₁, β₂); None leaves one as it is.
        last_epoch: the step to start from, minus one, as PyTorch counts it; -1 starts afresh.

    Raises:
        InvalidInput: a number of schedules or peaks that differs from the number of param groups, or a rider on
            something that the optimizer does not have.

    >>> import torch
    >>> from lrscope.schedules.text import parse_schedule
    >>> weights = torch.nn.Linear(2, 1).parameters()
    >>> optimizer = torch.optim.SGD(weights, lr=0.5)
    >>> scheduler = ScheduledLR(optimizer, parse_schedule("warmup(2) -> linear", total_steps=6))
    >>> for _ in range(6):
    ...     print(f"{scheduler.get_last_lr()[0]:.3f}", end=" ")
    ...     optimizer.step()
    ...     scheduler.step()
    0.250 0.500 0.500 0.333 0.167 0.000
    >>> scheduler.state_dict()
    {'step': 6}
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: Schedule | str | Sequence[Schedule | str],
        *,
        total_steps: int | None = None,
        peak_lr: float | Sequence[float] | None = None,
        weight_decay: Schedule | str | None = None,
        momentum: Schedule | str | None = None,
        betas: tuple[Schedule | str | None, Schedule | str | None] | None = None,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise InvalidInput(f"ScheduledLR needs a torch.optim.Optimizer. Got {type(optimizer).__name__}.")

        # LRScheduler.__init__ is not called on purpose: it would replace `optimizer.step`.
        def resolved(form: Schedule | str) -> Schedule:
            return parse_schedule(form, total_steps=total_steps) if isinstance(form, str) else form

        forms = [schedule] if isinstance(schedule, str | Schedule) else list(schedule)
        if len(forms) not in {1, len(optimizer.param_groups)} or not forms:
            raise InvalidInput(
                f"The 'schedule' of ScheduledLR must be one schedule, or one for each of the optimizer's "
                f"{len(optimizer.param_groups)} param groups. Got {len(forms)}."
            )
        self.optimizer = optimizer
        self.schedules = tuple(resolved(form) for form in forms)
        self.base_lrs: list[float | Tensor] = []
        self.last_epoch = last_epoch + 1
        self._step_count = 1
        self._is_member = False  # of PyTorch's SequentialLR, which says when it is this one's turn
        self._shares = [Shares(one) for one in self.schedules]
        riders = {"weight_decay": weight_decay, "momentum": momentum, "betas": betas}
        self._riders: list[Rider] = make_riders(optimizer, riders, resolved)
        self._adopt_groups(_peaks_given(peak_lr, len(optimizer.param_groups)))
        self._watch = UpdateWatch(optimizer, self._before_update)
        self._apply(self.last_epoch)

    def step(self, epoch: int | None = None) -> None:
        """Moves on by one update; with `epoch`, goes to that step (0-based, the update about to be made)."""
        if epoch is None:
            if not self._watch.updated and self._watch.was_skipped():
                return
            self._watch.updated = False
            epoch = self.last_epoch + 1
        self._step_count += 1
        self.last_epoch = epoch
        groups = self.optimizer.param_groups
        if len(self._shares) > 1 or self._riders or len(groups) != len(self.base_lrs):
            self._apply(epoch)
            return
        share = self._shares[0].at(epoch)
        for group, peak in zip(groups, self.base_lrs, strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(peak * share)
            else:
                group["lr"] = peak * share

    @override
    def get_lr(self) -> list[float | Tensor]:
        """The rate of every param group at the present step, in float64."""
        last = len(self._shares) - 1
        shares = [self._shares[min(index, last)].at(self.last_epoch) for index in range(len(self.base_lrs))]
        return [peak * share for peak, share in zip(self.base_lrs, shares, strict=True)]

    @override
    def get_last_lr(self) -> list[float | Tensor]:
        """The optimizer's rates as they are now, tensors copied."""
        rates = (group["lr"] for group in self.optimizer.param_groups)
        return [rate.clone() if isinstance(rate, Tensor) else rate for rate in rates]

    @override
    def state_dict(self) -> dict[str, Any]:
        """The step (the 0-based index of the update about to be made), and nothing else."""
        return {"step": self.last_epoch}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes to the step of `state_dict`, of this class or of one of PyTorch's schedulers, and sets its rates.

        A member of a SequentialLR leaves the rates alone: whose turn it is, only the whole knows.

        Raises:
            InvalidInput: there is no step in it.
        """
        step = state_dict.get("step", state_dict.get("last_epoch"))
        self._is_member = self._is_member or self.last_epoch < 0
        if not isinstance(step, int) or step < (-1 if self._is_member else 0):
            raise InvalidInput(f"A scheduler's state must hold its 'step', an int >= 0. Got {step!r}.")
        self.last_epoch = step
        self._step_count = step + 1
        self._watch.forget()
        if not self._is_member:
            self._apply(step)

    @override
    def _initial_step(self) -> None:
        """PyTorch's SequentialLR takes its members back by one step and calls this to begin."""
        self._is_member = True
        self.step(self.last_epoch + 1)

    @override
    def _update_lr(self, epoch: int | None = None) -> None:
        """PyTorch's SequentialLR calls this to begin a later member."""
        self._is_member = True
        self._watch.updated = False
        self._apply(self.last_epoch + 1 if epoch is None else epoch)

    def _before_update(self) -> None:
        if len(self.optimizer.param_groups) != len(self.base_lrs) and self.last_epoch >= 0:
            self._apply(self.last_epoch)

    def _apply(self, step: int) -> None:
        """The readable twin of `step`: every group, every rider."""
        if len(self.optimizer.param_groups) != len(self.base_lrs):
            self._adopt_groups([])
        if len(self._shares) > 1 or len(set(self.base_lrs)) > 1:
            _unshare(self.optimizer)
        self.last_epoch = step
        for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        for rider in self._riders:
            rider.apply(self.optimizer.param_groups, step)

    def _adopt_groups(self, peaks: list[float]) -> None:
        """Takes the peaks of groups not seen before, and notes them in the groups for the optimizer's checkpoint."""
        groups = self.optimizer.param_groups
        for index in range(len(self.base_lrs), len(groups)):
            group = groups[index]
            peak = peaks[index] if peaks else float(group.get("initial_lr", group["lr"]))
            group["initial_lr"] = peak
            self.base_lrs.append(peak)
        for rider in self._riders:
            rider.adopt(groups)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_watch"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._watch = UpdateWatch(self.optimizer, self._before_update)


def _unshare(optimizer: Optimizer) -> None:
    """Gives each param group a tensor of its own where they share the one that the optimizer was made with."""
    seen: set[int] = set()
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            if id(group["lr"]) in seen:
                group["lr"] = group["lr"].clone()
            seen.add(id(group["lr"]))


def _peaks_given(peak_lr: float | Sequence[float] | None, groups: int) -> list[float]:
    if peak_lr is None:
        return []
    peaks = [float(peak_lr)] * groups if isinstance(peak_lr, int | float) else [float(peak) for peak in peak_lr]
    if len(peaks) != groups:
        raise InvalidInput(
            f"The 'peak_lr' of ScheduledLR must be one number, or one for each of the optimizer's {groups} "
            f"param groups. Got {len(peaks)}."
        )
    return peaks
