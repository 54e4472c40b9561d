"""What else a log shows: spikes, late divergence, overfitting, a decay that comes too early, a wasted warm-up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lrscope.curves.curve import Curve
from lrscope.diagnosis.evidence import Record, slope_before_decay
from lrscope.diagnosis.shape import LARGEST, Shape

FindingName = Literal["loss_spikes", "late_divergence", "overfitting", "decays_too_early", "wasted_warmup"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something named on a curve: what, a number (see `says`), the steps where it is seen, and a sentence."""

    what: FindingName
    value: float
    steps: tuple[int, ...]
    says: str


def find_all(curve: Curve, shape: Shape | None) -> tuple[Finding, ...]:
    """Every finding of a curve, in a fixed order; none where the curve has no shape."""
    if shape is None:
        return ()
    finders = (loss_spikes, late_divergence, overfitting, decays_too_early, wasted_warmup)
    found = [finding for finder in finders if (finding := finder(curve, shape)) is not None]
    diverged = any(finding.what == "late_divergence" for finding in found)  # then the validation loss rose with it
    return tuple(finding for finding in found if not (diverged and finding.what == "overfitting"))


def _steps(curve: Curve) -> NDArray[np.int64]:
    """The steps of the finite points, which a shape is made of."""
    return curve.step[np.abs(curve.loss) < LARGEST]


def loss_spikes(curve: Curve, shape: Shape) -> Finding | None:
    """Points far above their neighbourhood (12 times its noise and 15 % of the fall) that come back down."""
    loss, count = shape.loss, len(shape.loss)
    if count < 30 or shape.drop <= 0:
        return None
    width = max(5, count // 50) | 1
    padded, stride = np.pad(loss, width // 2, mode="edge"), max(1, width // 8)
    medians = np.median(np.lib.stride_tricks.sliding_window_view(padded, width)[::stride], axis=1)
    trend = np.interp(np.arange(count), np.arange(0, count, stride), medians)
    rise = loss - trend
    noise = 1.48 * np.median(np.abs(rise))
    places = np.flatnonzero((rise > max(12 * noise, 0.15 * shape.scale)) & (shape.time > 0.05))
    if len(places) == 0:
        return None
    firsts = places[np.r_[True, np.diff(places) > width]]
    steps = tuple(int(s) for s in _steps(curve)[firsts])
    tallest = float(rise[places].max() / shape.scale)
    times = f"{len(steps)} times, first at step {steps[0]}" if len(steps) > 1 else f"once, at step {steps[0]}"
    return Finding(
        what="loss_spikes", value=float(len(steps)), steps=steps,
        says=f"The loss spiked {times}; the tallest spike undid {100 * tallest:.0f} % of the fall.",
    )  # fmt: skip


def late_divergence(curve: Curve, shape: Shape) -> Finding | None:
    """The loss had fallen, then rose for good: it ends more than 30 % of its fall above its lowest, or not finite."""
    lowest = int(np.argmin(shape.linear))
    not_finite = not abs(float(curve.loss[-1])) < LARGEST
    fell = shape.drop > 0.2 * abs(shape.initial) or shape.drop > 0.5 * shape.scale
    came_back = (shape.end - shape.linear[lowest]) / shape.scale
    if not fell or shape.drop <= 0 or not (not_finite or came_back > 0.3) or not 1 <= lowest < 36:
        return None
    if not_finite and len(shape.loss) < 10:
        return None
    steps = _steps(curve)
    turn = int(np.searchsorted(shape.time, (lowest + 1) / len(shape.linear)))
    step = int(steps[min(turn, len(steps) - 1)])
    end = "is not finite any more" if not_finite else f"ends {100 * came_back:.0f} % of its fall above that"
    return Finding(
        what="late_divergence", value=float("inf") if not_finite else float(came_back), steps=(step,),
        says=f"The loss fell until about step {step}, then rose: it {end}.",
    )  # fmt: skip


def overfitting(curve: Curve, shape: Shape) -> Finding | None:
    """The validation loss rose by over 5 % of its fall since its lowest while the training loss went on falling."""
    if curve.val_loss is None or curve.val_step is None:
        return None
    finite = np.isfinite(curve.val_loss)
    step, value = curve.val_step[finite], curve.val_loss[finite]
    if len(value) < 5:
        return None
    lowest = int(np.argmin(value))
    fall = float(value[0] - value[lowest])
    rise = float(np.median(value[-3:]) - value[lowest])
    if lowest >= len(value) - 2 or rise <= 0.05 * max(fall, 0.05 * abs(float(value[0]))) or shape.drop <= 0:
        return None
    train_then = float(np.interp(step[lowest], _steps(curve), shape.loss))
    if not min(shape.end, float(shape.linear[-8:].mean())) < train_then:
        return None
    share = rise / max(fall, 1e-12)
    return Finding(
        what="overfitting", value=float(share), steps=(int(step[lowest]),),
        says=f"The validation loss was lowest at step {int(step[lowest])} and has since risen by "
        f"{100 * min(share, 9.99):.0f} % of its fall, while the training loss went on falling.",
    )  # fmt: skip


def decays_too_early(curve: Curve, shape: Shape) -> Finding | None:
    """The rate fell below a tenth of its peak before 60 % of the run, and stopped a loss that was still falling."""
    if shape.share is None:
        return None
    peak = int(np.argmax(shape.share))
    low = np.flatnonzero((shape.share < 0.1) & (np.arange(len(shape.share)) > peak))
    if len(low) == 0 or shape.time[low[0]] > 0.6 or shape.share[low[0] :].max() > 0.2 or shape.drop <= 0:
        return None
    at = float(shape.time[low[0]])
    before, after = slope_before_decay(Record(curve=curve, shape=shape)), shape.to_come(at)
    if before < 0.08 or after > 0.25:
        return None
    step = int(_steps(curve)[low[0]])
    return Finding(
        what="decays_too_early", value=at, steps=(step,),
        says=f"From step {step} on ({100 * at:.0f} % of the run) the rate is below a tenth of its peak; the loss was "
        f"still falling by {100 * before:.0f} % of its fall per tenfold of time, and made only "
        f"{100 * max(0.0, after):.0f} % of its fall since.",
    )  # fmt: skip


def wasted_warmup(curve: Curve, shape: Shape) -> Finding | None:
    """A warm-up over more than 15 % of the run, in which the loss fell smoothly: it could have been shorter."""
    if shape.share is None:
        return None
    full = np.flatnonzero(shape.share >= 0.999 * shape.share.max())
    warm = float(shape.time[full[0]])
    if warm < 0.15 or shape.share[0] > 0.3 or np.any(np.diff(shape.share[: full[0] + 1]) < 0):
        return None
    made = 1.0 - shape.to_come(warm) if shape.drop > 0 else 0.0
    bumps = float(np.max(np.r_[0.0, np.diff(shape.linear)]) / shape.scale)
    if bumps > 0.1:
        return None
    step = int(_steps(curve)[full[0]])
    return Finding(
        what="wasted_warmup", value=warm, steps=(step,),
        says=f"The warm-up takes {step} steps, {100 * warm:.0f} % of the run, and makes "
        f"{100 * max(0.0, made):.0f} % of the fall, without any instability that would ask for one so long.",
    )  # fmt: skip
