"""What a curve shows of its learning rate, as numbers with a meaning.

Each feature is a small function of the curve's `Shape`. None depends on the loss's unit or on the number of steps;
those marked (level) compare the loss with zero, which most training losses cannot pass; the others do not change with
an offset either.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lrscope.diagnosis.shape import LOG_TIME, Shape

FloatArray = NDArray[np.float64]


def _log_ratio(a: float, b: float, limit: float = 2.0) -> float:
    """log10(a / b) within ±limit; `limit` where b is zero."""
    if b <= 0 or a <= 0:
        return limit if a > 0 else -limit
    return float(np.clip(np.log10(a / b), -limit, limit))


# --- how far the loss came ---


def end_to_initial(s: Shape) -> float:
    """(level) log10 of the final over the initial loss: above −0.02, the run learned nothing."""
    return _log_ratio(max(s.end, 0.0), s.initial, 3.0) if s.initial > 0 else 0.0


def learned_little(s: Shape) -> float:
    """(level) 1 where the run ends at its initial loss or above, sloping to 0 at 0.8 of it."""
    return float(np.clip((s.end / s.initial - 0.80) / 0.20, 0.0, 1.0)) if s.initial > 0 else 0.0


def learned_nothing(s: Shape) -> float:
    """(level) 1 where the run ends at 0.97 of its initial loss or above, sloping steeply to 0 at 0.93."""
    return float(np.clip((s.end / s.initial - 0.93) / 0.04, 0.0, 1.0)) if s.initial > 0 else 0.0


def room_left(s: Shape) -> float:
    """(level) log10 of the most that is left to gain, as a share of the drop so far: small = nothing better exists."""
    return _log_ratio(max(s.end, 0.0), max(s.initial - s.end, 0.0)) if s.initial > 0 else 0.5


def nearly_zero(s: Shape) -> float:
    """(level) 1 where the run ends below 2 % of its initial loss, sloping to 0 at 10 %: little better can exist."""
    return float(np.clip((0.10 - s.end / s.initial) / 0.08, 0.0, 1.0)) if s.initial > 0 else 0.0


def rebound(s: Shape) -> float:
    """How far the end lies above the lowest window, as a share of the drop: the loss came back up."""
    return float(np.clip((s.end - s.linear.min()) / s.scale, 0.0, 2.0))


def highest(s: Shape) -> float:
    """How far the highest window lies above the initial loss, in drops (log10(1 + x)): the loss shot up."""
    return float(np.clip(np.log10(1 + max(0.0, max(s.linear.max(), s.log.max()) - s.initial) / s.scale), 0.0, 2.0))


def early_peak(s: Shape) -> float:
    """How far the first 5 % of the run rise above the initial loss, in drops (log10(1 + x)): a start too fast."""
    return _above_start(s, s.time <= 0.05)


def late_level(s: Shape) -> float:
    """How far the middle of the second half lies above the lowest window, in drops (log10(1 + x))."""
    return float(np.log10(1 + min(99.0, max(0.0, (np.median(s.linear[20:]) - s.linear.min()) / s.scale))))


def _above_start(s: Shape, inside: NDArray[np.bool_]) -> float:
    top = float(s.loss[inside].max()) if inside.any() else s.initial
    return float(np.log10(1 + min(99.0, max(0.0, (top - s.initial) / s.scale))))


# --- when it fell ---


def half_time(s: Shape) -> float:
    """log10 of the share of the run that half the drop took: near 0 = the drop came late, −2.5 = at once."""
    return _time_to(s, 0.5)


def most_time(s: Shape) -> float:
    """log10 of the share of the run that 90 % of the drop took."""
    return _time_to(s, 0.9)


def _time_to(s: Shape, part: float) -> float:
    remaining = (s.initial - np.minimum.accumulate(s.log)) / s.scale
    reached = np.flatnonzero(remaining >= part)
    return float(np.log10(LOG_TIME[reached[0]])) if len(reached) else 0.0


def last_half(s: Shape) -> float:
    """The share of the drop made in the second half of the run: a plateau has none, a slow run much."""
    return float(np.clip((s.linear[18:22].mean() - s.end) / s.scale, -1.0, 1.0))


def last_quarter(s: Shape) -> float:
    """The share of the drop made in the last quarter of the run."""
    return float(np.clip((s.linear[28:32].mean() - s.end) / s.scale, -1.0, 1.0))


def end_slope(s: Shape) -> float:
    """The share of the drop per tenfold of time at the end (last factor 3): what training longer would still bring."""
    return _slope(s, 0.3, 1.0)


def middle_slope(s: Shape) -> float:
    """The share of the drop per tenfold of time before that (0.1 to 0.3 of the run)."""
    return _slope(s, 0.1, 0.3)


def early_slope(s: Shape) -> float:
    """The share of the drop per tenfold of time early (0.01 to 0.1 of the run)."""
    return _slope(s, 0.01, 0.1)


def _slope(s: Shape, start: float, stop: float) -> float:
    inside = (start * 0.99 < LOG_TIME) & (stop * 1.01 > LOG_TIME)
    slope = np.polyfit(np.log10(LOG_TIME[inside]), s.log[inside], 1)[0]
    return float(np.clip(-slope / s.scale, -1.5, 1.5))


def curvature(s: Shape) -> float:
    """The end's slope over the middle's, in log time (log10): above 0 the fall speeds up, below 0 it levels off."""
    return _log_ratio(max(end_slope(s), 1e-3), max(middle_slope(s), 1e-3), 1.5)


def first_seen(s: Shape) -> float:
    """log10 of the share of the run at the first point, from −2.5: what fell before it is not known."""
    return float(np.log10(np.clip(s.time[0], 10.0**-2.5, 1.0)))


def lowest_time(s: Shape) -> float:
    """The share of the run at which the lowest window lies: 1 where the loss was still falling."""
    return (int(np.argmin(s.linear)) + 1) / len(s.linear)


def trend(s: Shape) -> float:
    """How sure the fall of the second half is: its slope over the slope's standard error, squeezed by asinh."""
    late = s.linear[20:]
    x = np.arange(len(late)) - 0.5 * (len(late) - 1)
    slope = float((x * late).sum() / (x * x).sum())
    rest = late - late.mean() - slope * x
    error = float(np.sqrt((rest * rest).sum() / (len(late) - 2) / (x * x).sum()))
    return float(np.arcsinh(np.clip(-slope / max(error, 1e-9 * s.scale), -1e3, 1e3)))


def power(s: Shape) -> float:
    """(level) minus the slope of log loss in log time over the last factor 3: the power with which the loss falls."""
    late = s.log[LOG_TIME > 0.3]
    if late.min() <= 0 or s.initial <= 0:
        return 0.0
    return float(np.clip(-np.polyfit(np.log(LOG_TIME[LOG_TIME > 0.3]), np.log(late), 1)[0], -0.5, 1.5))


# --- how it bounces ---


def window_noise(s: Shape) -> float:
    """log10 of the bouncing of window means about their trend in the second half, as a share of the drop."""
    late = s.linear[20:]
    bend = late[2:] - 2 * late[1:-1] + late[:-2]
    return _log_ratio(float(np.median(np.abs(bend))) / 1.65, s.scale, 4.0)


def noise_growth(s: Shape) -> float:
    """log10 of the bouncing of window means in the last third over that in the first: it quietens as a run settles."""
    bend = np.abs(s.linear[2:] - 2 * s.linear[1:-1] + s.linear[:-2])
    return _log_ratio(float(np.median(bend[26:])) + 1e-9 * s.scale, float(np.median(bend[1:13])) + 1e-9 * s.scale)


def point_noise(s: Shape) -> float:
    """log10 of the point-to-point noise in the last quarter, as a share of the drop."""
    return _log_ratio(_point_noise(s, 0.75, 1.0), s.scale, 4.0)


def noise_to_level(s: Shape) -> float:
    """(level) log10 of the point-to-point noise in the last quarter over the loss itself."""
    return _log_ratio(_point_noise(s, 0.75, 1.0), abs(s.end), 3.0)


def slow_noise(s: Shape) -> float:
    """log10 of the bouncing of windows over that of points: weights that wander are slow, batch noise averages out."""
    return _log_ratio(10.0 ** window_noise(s) * s.scale, _point_noise(s, 0.5, 1.0) + 1e-9 * s.scale)


def point_noise_growth(s: Shape) -> float:
    """log10 of the point-to-point noise in the last quarter over that in the second tenth of the run."""
    return _log_ratio(_point_noise(s, 0.75, 1.0) + 1e-9 * s.scale, _point_noise(s, 0.1, 0.3) + 1e-9 * s.scale)


def _point_noise(s: Shape, start: float, stop: float) -> float:
    part = s.loss[(s.time >= start) & (s.time <= stop)]
    if len(part) < 4:
        return 0.0
    return float(np.median(np.abs(part[2:] - 2 * part[1:-1] + part[:-2]))) / 1.65


def spikes(s: Shape) -> float:
    """log10(1 + x) of the largest point above the median of the last three quarters, x in drops: spikes."""
    late = s.loss[s.time >= 0.25]
    return float(np.log10(1 + min(99.0, max(0.0, (late.max() - np.median(late)) / s.scale))))


def memory(s: Shape) -> float:
    """The correlation of neighbouring points about the trend in the second half: high where the weights wander."""
    part = s.loss[s.time >= 0.5]
    if len(part) < 12:
        return 0.0
    x = np.linspace(-1.0, 1.0, len(part))
    residual = part - np.polyval(np.polyfit(x, part, 2), x)
    power = float((residual**2).mean())
    return float((residual[1:] * residual[:-1]).mean()) / power if power > 0 else 0.0


LOSS_FEATURES: tuple[Callable[[Shape], float], ...] = (
    end_to_initial, learned_little, learned_nothing, nearly_zero, room_left, rebound, highest, early_peak, late_level,
    half_time, most_time, last_half, last_quarter, end_slope, middle_slope, early_slope, curvature, lowest_time,
    first_seen, trend, power, window_noise, noise_growth, point_noise, noise_to_level, slow_noise,
    point_noise_growth, spikes, memory,
)  # fmt: skip
