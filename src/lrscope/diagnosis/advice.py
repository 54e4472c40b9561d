"""What to do about a verdict, in one or two plain sentences per regime and finding."""

from __future__ import annotations

import math

from lrscope.diagnosis.findings import Finding, FindingName
from lrscope.estimate import Estimate

FINDING_ADVICE: dict[FindingName, str] = {
    "loss_spikes": "Against the spikes, clip the gradient norm at about its median.",
    "late_divergence": (
        "Against the late divergence, decay the rate before the loss turns, or lower the peak rate by a factor of 3."
    ),
    "overfitting": "Against the overfitting, stop at the lowest validation loss or regularise more.",
    "decays_too_early": (
        "Stretch the decay over the whole run: let the rate reach its end value only at the last update."
    ),
    "wasted_warmup": "Shorten the warm-up to about 5 % of the run.",
}
"""What to do about each finding."""


def two_digits(value: float) -> str:
    """A positive number in two significant digits, without an exponent where people would not write one.

    >>> [two_digits(x) for x in (0.0123, 1.04, 26.4, 173.0, 2.5e6, 3e-7)]
    ['0.012', '1', '26', '170', '2.5e+06', '3e-07']
    """
    short = f"{value:.2g}"
    return f"{float(short):.0f}" if 100 <= value < 1e6 else short


def factor_text(factor: Estimate) -> str:
    """The factor as a reader takes it: "about 10 times higher (3 to 30)".

    >>> factor_text(Estimate(0.1, 0.03, 0.3))
    'about 10 times lower (3.3 to 33)'
    """
    value, low, high = factor.value, factor.low, factor.high
    if value < 1:
        value, low, high = 1 / value, (1 / high if high else None), (1 / low if low else None)
        word = "lower"
    else:
        word = "higher"
    ends = ""
    if low is not None and high is not None:
        ends = f" ({two_digits(max(low, 1.0))} to {two_digits(high)})"
    return f"about {two_digits(value)} times {word}{ends}"


def advise(regime: str, factor: Estimate, findings: tuple[Finding, ...], reason: str | None) -> str:
    """The advice for a verdict: what to do with the rate, then what to do about each finding."""
    names = {finding.what for finding in findings}
    if regime == "very_high":
        text = f"Lower the peak learning rate: try {factor_text(factor)}, with a warm-up."
    elif regime == "high":
        text = f"Lower the learning rate: try {factor_text(factor)}, or decay it to zero over the rest of the run."
    elif regime == "low":
        text = f"Raise the learning rate: try {factor_text(factor)}."
    elif regime == "good":
        text = "Keep this learning rate."
        if not math.isclose(factor.value, 1.0, rel_tol=0.3) and 1.0 in factor:
            text += f" If you search on, look {factor_text(factor)}."
    else:
        why = reason or "The curve does not decide it."
        text = f"{why} Log more of the run, or compare with a run at 3 times the rate."
    parts = [text, *(FINDING_ADVICE[name] for name in FINDING_ADVICE if name in names)]
    if regime == "good" and "overfitting" in names:
        parts.append("The training loss does not ask for another rate.")
    return " ".join(parts)
