"""A record as a curve: steps made to increase, restarts resolved, the other series put beside the loss."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lrscope.curves.curve import PER_STEP, Curve
from lrscope.curves.readers.record import Record, Series

_LARGEST_STEP = 2.0**62


def assemble(record: Record, name: str) -> Curve | None:
    """The curve of a record; None where it has no loss at all.

    A step that comes again is a restart or a correction: what was written last counts, and what an earlier start had
    written at that step and beyond is left out. All of it is said in the notes.
    """
    notes = list(record.notes)
    loss = _increasing(record.series.get("loss"), "loss", notes)
    if loss is None:
        return None
    step = loss.step.astype(np.int64)
    validation = _increasing(record.series.get("val_loss"), "val loss", notes)
    beside = {role: _beside(record.series.get(role), loss.step, role, notes) for role in PER_STEP}
    if beside["lr"] is None and record.facts.lr is not None:
        beside["lr"] = np.full(len(step), record.facts.lr)
    return Curve(
        name=name,
        step=step,
        loss=loss.value,
        val_step=None if validation is None else validation.step.astype(np.int64),
        val_loss=None if validation is None else validation.value,
        batch_size=record.facts.batch_size,
        optimizer=record.facts.optimizer,
        total_steps=record.facts.total_steps,
        notes=tuple(dict.fromkeys(notes)),
        **beside,
    )


def _increasing(series: Series | None, what: str, notes: list[str]) -> Series | None:
    """A series with strictly increasing whole steps, and what that took in the notes."""
    if series is None or len(series.step) == 0:
        return None
    step, value = series.step, series.value
    usable = np.isfinite(step) & (np.abs(step) < _LARGEST_STEP)
    if not usable.all():
        notes.append(f"{np.count_nonzero(~usable)} values of the {what} have no usable step and are left out")
        step, value = step[usable], value[usable]
    step = np.floor(step)
    if np.all(np.diff(step) > 0):
        return Series(step=step, value=value) if len(step) else None
    keep = _after_restarts(step, what, notes)
    step, value = step[keep], value[keep]
    order = np.argsort(step, kind="stable")
    if np.any(order != np.arange(len(order))):
        notes.append(f"the {what} was not in order of its steps and was sorted")
    step, value = step[order], value[order]
    last = np.append(np.diff(step) > 0, True)
    if not last.all():
        notes.append(f"{np.count_nonzero(~last)} steps of the {what} were written again: the last value counts")
    return Series(step=step[last], value=value[last])


def _after_restarts(step: NDArray[np.float64], what: str, notes: list[str]) -> NDArray[np.bool_]:
    """Which values stand, when a run that goes back to an earlier step begins anew from there.

    Steps that merely come out of order (none twice, or going back all the time) are no restarts.
    """
    keep = np.ones(len(step), dtype=np.bool_)
    back = np.flatnonzero(np.diff(step) < 0) + 1
    if len(np.unique(step)) == len(step) or len(back) > max(1, len(step) // 10):
        return keep
    for k in back:
        if np.any(step[:k] == step[k]) or step[k] < step[:k].min():
            keep[:k] &= step[:k] < step[k]
    dropped = np.count_nonzero(~keep)
    if dropped:
        notes.append(
            f"the run was restarted {len(back)} time{'s' * (len(back) > 1)}: {dropped} values of the {what} from "
            "before are left out"
        )
    return keep


def _beside(
    series: Series | None, loss_step: NDArray[np.float64], role: str, notes: list[str]
) -> NDArray[np.float64] | None:
    """A series at the steps of the loss, NaN where it was not measured.

    The learning rate changes smoothly and is often logged at other steps, so it is interpolated within its range.
    """
    tidy = _increasing(series, role.replace("_", " "), [])
    if tidy is None:
        return None
    at = np.clip(np.searchsorted(tidy.step, loss_step), 0, len(tidy.step) - 1)
    values: NDArray[np.float64] = np.where(tidy.step[at] == loss_step, tidy.value[at], np.nan)
    missing = np.isnan(values)
    finite = np.isfinite(tidy.value)
    if role == "lr" and missing.any() and finite.any():
        inside = missing & (loss_step >= tidy.step[finite][0]) & (loss_step <= tidy.step[finite][-1])
        if inside.any():
            values[inside] = np.interp(loss_step[inside], tidy.step[finite], tidy.value[finite])
            notes.append(f"the learning rate was interpolated at {np.count_nonzero(inside)} steps")
    if np.isnan(values).all():
        notes.append(f"the {role.replace('_', ' ')} was logged at none of the loss's steps and is left out")
        return None
    return values
