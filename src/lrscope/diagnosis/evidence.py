"""What the rate, gradient norms and the monitor's measurements show beside the loss, as numbers with a meaning."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrscope.curves.curve import STEPS_ARE_EPOCHS, Curve
from lrscope.diagnosis.features import end_slope
from lrscope.diagnosis.shape import Shape

FloatArray = NDArray[np.float64]

USUAL = {"momentum": -2.0, "sgd": -1.0, "gradientdescent": -1.0, "adam": -2.5, "rmsprop": -2.5}
"""log10 of a middling learning rate of a family of optimizers, for small networks: the middle of the scale of rates."""

EARLY, LATE = (0.0, 0.2), (0.5, 1.0)
"""The parts of a run, as shares, in which measurements are summed up."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A curve beside its shape: what the features of this file read."""

    curve: Curve
    shape: Shape

    def share_at(self, time: float) -> float:
        """The learning rate over its peak at a share of the run; 1 where it was not logged."""
        if self.shape.share is None:
            return 1.0
        return float(np.interp(time, self.shape.time, self.shape.share))

    def measured(self, values: FloatArray | None, part: tuple[float, float] = (0.0, 1.0)) -> FloatArray:
        """The finite measurements within a part of the run, at rates of at least half the peak where there are any."""
        if values is None:
            return np.empty(0)
        first, last = self.curve.step[0], self.curve.step[-1]
        time = (self.curve.step - first) / max(1, last - first)
        inside = np.isfinite(values) & (time >= part[0]) & (time <= part[1])
        if self.curve.lr is not None and np.isfinite(self.curve.lr).any():
            with np.errstate(invalid="ignore"):
                at_peak = inside & (self.curve.lr >= 0.5 * np.nanmax(self.curve.lr))
            inside = at_peak if at_peak.any() else inside
        return np.asarray(values[inside])

    def middle(self, values: FloatArray | None, part: tuple[float, float], low: float, high: float) -> float:
        """The median of `measured` within [low, high]; NaN where nothing was."""
        found = self.measured(values, part)
        return float(np.clip(np.median(found), low, high)) if len(found) else float("nan")

    @property
    def steps(self) -> float:
        """How many updates the log spans; NaN where its steps are epochs."""
        if STEPS_ARE_EPOCHS in self.curve.notes:
            return float("nan")
        return max(1.0, float(self.curve.step[-1] - self.curve.step[0]))


# --- the learning rate ---


def final_share(r: Record) -> float:
    """log10 of the learning rate at the end over its peak, from −2: a plateau there may be the schedule's doing."""
    return float(np.log10(max(r.share_at(1.0), 1e-2)))


def middle_share(r: Record) -> float:
    """The learning rate at the middle of the run over its peak."""
    return r.share_at(0.5)


def decay_drop(r: Record) -> float:
    """The share of the drop made since the rate fell below half its peak: large = the rate was high; 0 undecayed."""
    share, s = r.shape.share, r.shape
    if share is None or share[-1] >= 0.5:
        return 0.0
    below = s.time[(share < 0.5) & (s.time > s.time[int(np.argmax(share))])]
    return float(np.clip(s.to_come(float(below[0])), -1.0, 1.5)) if len(below) else 0.0


def slope_before_decay(r: Record) -> float:
    """The share of the drop per tenfold of time while the rate was above half its peak (its last factor 3)."""
    share, s = r.shape.share, r.shape
    stop = 1.0 if share is None else float(s.time[np.flatnonzero(share >= 0.5)[-1]])
    stop = max(stop, 0.02)
    return float(np.clip((s.to_come(stop / 3) - s.to_come(stop)) / np.log10(3.0), -1.5, 1.5))


def usual_rate(r: Record) -> float:
    """log10 of the peak rate over what is usual for its family of optimizers, within ±4."""
    return curve_rate(r.curve)


def rate_times_steps(r: Record) -> float:
    """log10 of the steps at the usual rate that the run's rates add up to: a low rate has not come far."""
    mean = 1.0 if r.shape.share is None else float(np.mean(r.shape.share))
    return curve_rate(r.curve) + float(np.log10(max(mean, 1e-3) * r.steps))


def planned_left(r: Record) -> float:
    """The share of the planned steps that are still to come (0 where no plan is known)."""
    total = r.curve.total_steps
    return float(np.clip(1.0 - (r.curve.step[-1] + 1) / total, 0.0, 1.0)) if total else 0.0


def curve_rate(curve: Curve) -> float:
    """`usual_rate` of a curve; NaN where the rate was not logged."""
    if curve.lr is None or not np.isfinite(curve.lr).any() or np.nanmax(curve.lr) <= 0:
        return float("nan")
    name = (curve.optimizer or "").lower()
    usual = next((value for key, value in USUAL.items() if key in name), -2.0)
    if "momentum0.99" in name:
        usual -= 1.0
    return float(np.clip(np.log10(float(np.nanmax(curve.lr))) - usual, -4.0, 4.0))


RATE_FEATURES: tuple[Callable[[Record], float], ...] = (
    final_share, middle_share, decay_drop, slope_before_decay, usual_rate, rate_times_steps, planned_left,
)  # fmt: skip


# --- the gradient norm ---


def gradient_fall(r: Record) -> float:
    """log10 of the gradient norm in the last fifth over that in the first, within ±3."""
    early, late = r.measured(r.curve.grad_norm, EARLY), r.measured(r.curve.grad_norm, (0.8, 1.0))
    if not (len(early) and len(late)):
        return float("nan")
    return float(np.clip(np.log10((np.median(late) + 1e-30) / (np.median(early) + 1e-30)), -3.0, 3.0))


def bounce(r: Record) -> float:
    """log10 of the excess that bouncing explains, in drops: ¼ η |g|² / (1 − β) for gradient descent.

    Around a minimum, noisy gradients g keep the loss above it by a quarter of an update's first-order gain, η gᵀPg,
    whatever the curvature. P is 1/(1 − β) for momentum β; for Adam and its kin gᵀPg is about 1.25 |g|₁.
    """
    share = r.middle(_gain(r.curve), LATE, 0.0, 1e30)
    return float(np.clip(np.log10(max(0.25 * share / r.shape.scale, 1e-6)), -6.0, 4.0)) if share >= 0 else share


def gradient_reach(r: Record) -> float:
    """log10 of the first-order gain of all updates together (η gᵀPg, from the first fifth) over the drop."""
    share = r.middle(_gain(r.curve), EARLY, 0.0, 1e30)
    return float(np.clip(np.log10(max(share * r.steps / r.shape.scale, 1e-6)), -6.0, 8.0)) if share >= 0 else share


def _gain(curve: Curve) -> FloatArray | None:
    """The first-order gain of each update, η gᵀPg; None where the log does not tell."""
    name = (curve.optimizer or "").lower()
    if curve.lr is None:
        return None
    if name.startswith(("adam", "nadam", "rmsprop")):
        return None if curve.grad_norm_l1 is None else curve.lr * 1.25 * curve.grad_norm_l1
    if curve.grad_norm is None:
        return None
    return curve.lr * np.square(curve.grad_norm) / (1.0 - min(_momentum(name), 0.999))


def _momentum(name: str) -> float:
    """β of an optimizer by its name: `momentum0.99` says it, other names with momentum are taken for 0.9."""
    if not name.startswith("momentum"):
        return 0.0
    said = re.fullmatch(r"momentum(0?\.\d+)", name)
    return float(said[1]) if said else 0.9


GRADIENT_FEATURES: tuple[Callable[[Record], float], ...] = (gradient_fall, bounce, gradient_reach)


# --- the monitor ---


def alpha_late(r: Record) -> float:
    """The median same-batch step length α in the second half: −1 stays put, 0 reaches the minimum, above 1 climbs."""
    return r.middle(r.curve.alpha, LATE, -1.0, 3.0)


def alpha_early(r: Record) -> float:
    """The median same-batch step length α in the first fifth of the run."""
    return r.middle(r.curve.alpha, EARLY, -1.0, 3.0)


def alpha_late_short(r: Record) -> float:
    """log10(1 + α) in the second half, from −4: how many times too short the steps are for one batch."""
    return float(np.log10(max(1.0 + alpha_late(r), 1e-4)))


def alpha_early_short(r: Record) -> float:
    """log10(1 + α) in the first fifth, from −4."""
    return float(np.log10(max(1.0 + alpha_early(r), 1e-4)))


def overshoots(r: Record) -> float:
    """The share of the second half's measured steps that climb higher than they began (α > 1)."""
    values = r.measured(r.curve.alpha, LATE)
    return float((values > 1.0).mean()) if len(values) else float("nan")


def cosine_late(r: Record) -> float:
    """The median cosine of the gradients at both ends of a step, second half: negative = bouncing, 1 = straight."""
    return r.middle(r.curve.gradient_cosine, LATE, -1.0, 1.0)


def cosine_early(r: Record) -> float:
    """The median cosine of the gradients at both ends of a step in the first fifth."""
    return r.middle(r.curve.gradient_cosine, EARLY, -1.0, 1.0)


def turning_late(r: Record) -> float:
    """log10(1 − cosine) in the second half, from −5: how much one step turns the gradient."""
    return float(np.log10(max(1.0 - cosine_late(r), 1e-5)))


def turning_early(r: Record) -> float:
    """log10(1 − cosine) in the first fifth, from −5."""
    return float(np.log10(max(1.0 - cosine_early(r), 1e-5)))


def travel(r: Record) -> float:
    """log10 of the update-to-weight ratio (median of the second half) times √steps: how far a random walk would go."""
    ratio = r.middle(r.curve.update_ratio, LATE, 1e-12, 1e6)
    return float(np.clip(np.log10(ratio * r.steps**0.5), -6.0, 4.0))


def journey(r: Record) -> float:
    """log10 of the mean update-to-weight ratio times the steps: the length of the path, in weights."""
    values = r.measured(r.curve.update_ratio)
    if not len(values):
        return float("nan")
    return float(np.clip(np.log10(np.mean(np.clip(values, 1e-12, 1e6)) * r.steps), -6.0, 6.0))


def longer_steps(r: Record) -> float:
    """What steps as long as one batch allows would bring: the end's slope times log10 of 1/(1 + α), in drops."""
    room = -min(alpha_late_short(r), 0.0)
    return float(np.clip(max(end_slope(r.shape), 0.0) * room, 0.0, 3.0))


MONITOR_FEATURES: tuple[Callable[[Record], float], ...] = (
    alpha_late, alpha_early, alpha_late_short, alpha_early_short, overshoots, cosine_late, cosine_early, turning_late,
    turning_early, travel, journey, longer_steps,
)  # fmt: skip


def has_rate(curve: Curve) -> bool:
    """Whether the learning rate was logged."""
    return curve.lr is not None and bool(np.isfinite(curve.lr).any()) and float(np.nanmax(curve.lr)) > 0


def has_gradient(curve: Curve) -> bool:
    """Whether the gradient norm was logged, five times or more."""
    return curve.grad_norm is not None and int(np.isfinite(curve.grad_norm).sum()) >= 5


def has_monitor(curve: Curve) -> bool:
    """Whether the monitor's step lengths or gradient cosines were logged, five or more of them."""
    series = (curve.alpha, curve.gradient_cosine)
    return any(values is not None and int(np.isfinite(values).sum()) >= 5 for values in series)
