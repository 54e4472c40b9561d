"""Each feature's value as a sentence for the person who reads the verdict."""

from __future__ import annotations

from collections.abc import Callable

from lrscope.diagnosis.advice import two_digits


def _times(log_value: float) -> str:
    return two_digits(10.0**log_value)


def _percent(log_value: float) -> str:
    return f"{100.0 * 10.0 ** min(log_value, 2.0):.2g} %"


SENTENCES: dict[str, Callable[[float], str]] = {
    "end_to_initial": lambda v: f"The final loss is {_times(v)} times the initial loss.",
    "learned_nothing": lambda v: (
        "The loss ends about where it began." if v > 0.5 else "The loss ends well below where it began."
    ),
    "learned_little": lambda v: (
        "The loss ends near where it began." if v > 0.3 else "The loss ends well below where it began."
    ),
    "nearly_zero": lambda v: (
        "The loss is nearly zero: little better can exist." if v > 0.5 else "The loss is still well above zero."
    ),
    "early_peak": lambda v: (
        f"In its first 5 % the loss shot up by {10**v - 1:.2g} falls."
        if v > 0.01
        else "The loss did not shoot up in its first 5 %."
    ),
    "late_level": lambda v: (
        f"The second half of the run stays {10**v - 1:.2g} falls above the lowest level reached."
        if v > 0.005
        else "The second half of the run stays at the lowest level reached."
    ),
    "first_seen": lambda v: f"The log begins {100 * 10**v:.1f} % of the way into the run.",
    "lowest_time": lambda v: (
        f"The loss was lowest {100 * v:.0f} % of the way through the run."
        if v < 0.99
        else "The loss was at its lowest when the log ends."
    ),
    "trend": lambda v: (
        "The loss falls clearly through the second half."
        if v > 1.5
        else "The loss rises clearly through the second half."
        if v < -1.5
        else "The second half shows no clear fall beyond its own bouncing."
    ),
    "power": lambda v: f"At the end the loss falls as time to the power of {-v:.2f}.",
    "room_left": lambda v: f"What is left above zero is {_times(v)} times what the loss has already lost.",
    "rebound": lambda v: (
        f"The loss ends {100 * v:.0f} % of its fall above its lowest level."
        if v > 0.02
        else "The loss ends at its lowest level."
    ),
    "highest": lambda v: (
        f"At its highest the loss stood {10**v - 1:.2g} falls above its start."
        if v > 0.01
        else "The loss never shot up."
    ),
    "half_time": lambda v: f"Half of the fall took {100 * 10**v:.1f} % of the run.",
    "most_time": lambda v: f"Nine tenths of the fall took {100 * 10**v:.1f} % of the run.",
    "last_half": lambda v: f"The second half of the run made {100 * v:.1f} % of the fall.",
    "last_quarter": lambda v: f"The last quarter of the run made {100 * v:.1f} % of the fall.",
    "end_slope": lambda v: f"At the end the loss falls by {100 * v:.1f} % of its fall so far per tenfold of time.",
    "middle_slope": lambda v: (
        f"Between 10 % and 30 % of the run it fell by {100 * v:.1f} % of its fall per tenfold of time."
    ),
    "early_slope": lambda v: (
        f"Between 1 % and 10 % of the run it fell by {100 * v:.1f} % of its fall per tenfold of time."
    ),
    "curvature": lambda v: (
        "The fall speeds up towards the end (in the logarithm of time)."
        if v > 0
        else "The fall levels off towards the end (in the logarithm of time)."
    ),
    "window_noise": lambda v: (
        f"In the second half, averages over 2.5 % of the run bounce by {100 * 10**v:.2f} % of the fall."
    ),
    "noise_growth": lambda v: f"The bouncing of averages late in the run is {_times(v)} times that of early on.",
    "point_noise": lambda v: f"At the end, single points bounce by {100 * 10**v:.2f} % of the fall.",
    "noise_to_level": lambda v: f"At the end, single points bounce by {100 * 10**v:.2f} % of the loss.",
    "slow_noise": lambda v: f"Averages over 2.5 % of the run bounce {_times(v)} times as much as single points.",
    "point_noise_growth": lambda v: f"Single points bounce {_times(v)} times as much at the end as early on.",
    "spikes": lambda v: f"The largest late point stands {10**v - 1:.2g} falls above the median.",
    "memory": lambda v: f"Neighbouring points correlate by {v:.2f} about the trend.",
    "final_share": lambda v: f"The learning rate ends at {100 * 10**v:.0f} % of its peak.",
    "middle_share": lambda v: f"Halfway, the learning rate is at {100 * v:.0f} % of its peak.",
    "decay_drop": lambda v: (
        f"After the rate fell below half its peak, the loss made {100 * v:.0f} % of its fall."
        if v
        else "The rate was not decayed, so no fall came from a decay."
    ),
    "slope_before_decay": lambda v: (
        f"While the rate was near its peak, the loss fell by {100 * v:.1f} % of its fall per tenfold of time."
    ),
    "usual_rate": lambda v: f"The peak rate is {_times(v)} times a middling rate, as far as the optimizer is known.",
    "rate_times_steps": lambda v: f"The rates add up to {_times(v)} steps at a middling rate.",
    "planned_left": lambda v: (
        f"{100 * v:.0f} % of the planned run is still to come."
        if v > 0.005
        else "The log covers all of the planned run."
    ),
    "bounce": lambda v: f"By its gradient norms, bouncing keeps the loss {_percent(v)} of its fall above the minimum.",
    "gradient_reach": lambda v: f"By the first gradients, the updates could have won {_times(v)} times the fall made.",
    "alpha_late": lambda v: (
        f"On its own batch a step goes to α = {v:.2f} (−1 stays, 0 reaches the minimum, above 1 climbs)."
    ),
    "alpha_early": lambda v: f"Early on, a step went to α = {v:.2f} on its own batch (0 reaches the minimum).",
    "alpha_late_short": lambda v: f"In the second half, steps were {_times(v)} of the way to the minimum along them.",
    "alpha_early_short": lambda v: f"Early on, steps were {_times(v)} of the way to the minimum along them.",
    "overshoots": lambda v: f"{100 * v:.0f} % of the measured steps in the second half climbed higher than they began.",
    "cosine_late": lambda v: f"In the second half, the gradients at both ends of a step have a cosine of {v:.2f}.",
    "cosine_early": lambda v: f"Early on, the gradients at both ends of a step had a cosine of {v:.2f}.",
    "turning_late": lambda v: f"In the second half, one step turned the gradient by 1 − cosine = {_times(v)}.",
    "turning_early": lambda v: f"Early on, one step turned the gradient by 1 − cosine = {_times(v)}.",
    "travel": lambda v: f"A random walk of these updates would cover {_times(v)} times the weights.",
    "journey": lambda v: f"The updates add up to {_times(v)} times the weights.",
    "longer_steps": lambda v: f"Steps as long as one batch allows would bring about {100 * v:.1f} % of the fall more.",
    "gradient_fall": lambda v: f"The gradient norm at the end is {_times(v)} times that at the start.",
}
"""A sentence for each feature, true of its value whatever the verdict."""
