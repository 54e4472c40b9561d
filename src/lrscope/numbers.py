"""Numbers as people read them: three significant digits, learning rates like 0.031 or 3e-4, intervals, durations."""

from __future__ import annotations

import math

from lrscope.estimate import Estimate

ABSENT = "–"


def format_number(value: float | None, digits: int = 3) -> str:
    """The value with `digits` significant digits, thousands separated; a dash where there is none.

    >>> format_number(0.043217), format_number(1234567.0), format_number(12), format_number(None)
    ('0.0432', '1,230,000', '12', '–')
    >>> format_number(2.0), format_number(3.1e-7), format_number(float("inf"))
    ('2', '3.1e-7', '∞')
    """
    if value is None or math.isnan(value):
        return ABSENT
    if isinstance(value, int):
        return f"{value:,}"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    if abs(value) < 1e-4 or abs(value) >= 1e9:
        return _scientific(value, digits)
    rounded = float(f"{value:.{digits}g}")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    text = f"{rounded:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_size(value: float | None) -> str:
    """A batch size to the last example, thousands separated; a dash where there is none.

    >>> format_size(1048576.0), format_size(64), format_size(1.5), format_size(None)
    ('1,048,576', '64', '1.5', '–')
    """
    return format_number(int(value) if value is not None and float(value).is_integer() else value)


def format_lr(value: float | None, digits: int = 2) -> str:
    """A learning rate: two significant digits, a power of ten where zeros would have to be counted.

    >>> format_lr(0.03125), format_lr(0.0003), format_lr(1.5), format_lr(0.00125), format_lr(None)
    ('0.031', '3e-4', '1.5', '0.0013', '–')
    """
    if value is None or math.isnan(value):
        return ABSENT
    if 0 < abs(value) < 1e-3:
        return _scientific(value, digits)
    return format_number(float(value), digits)


def format_estimate(estimate: Estimate | None, digits: int = 3, *, lr: bool = False) -> str:
    """A value with its interval in brackets; an open end is said.

    >>> format_estimate(Estimate(0.031, 0.022, 0.0441), lr=True)
    '0.031 (0.022 to 0.044)'
    >>> format_estimate(Estimate(0.5, None, 0.6)), format_estimate(Estimate(0.5, 0.4, None)), format_estimate(None)
    ('0.5 (below 0.6)', '0.5 (above 0.4)', '–')
    """
    if estimate is None:
        return ABSENT
    value, interval = format_value(estimate.value, digits, lr=lr), format_interval(estimate, digits, lr=lr)
    return f"{value} ({interval})" if interval else value


def format_interval(estimate: Estimate, digits: int = 3, *, lr: bool = False) -> str:
    """The interval of an estimate alone: `0.022 to 0.044`, `above 0.4`, or nothing where both ends are open.

    >>> format_interval(Estimate(0.5, 0.4, 0.62))
    '0.4 to 0.62'
    """
    low, high = (None if end is None else format_value(end, digits, lr=lr) for end in (estimate.low, estimate.high))
    if low is None and high is None:
        return ""
    if low is None:
        return f"below {high}"
    return f"above {low}" if high is None else f"{low} to {high}"


def format_value(value: float | None, digits: int = 3, *, lr: bool = False) -> str:
    """`format_lr` or `format_number`, by `lr`."""
    return format_lr(value) if lr else format_number(value, digits)


def format_seconds(seconds: float | None) -> str:
    """A duration in the unit that suits it.

    >>> format_seconds(0.0021), format_seconds(0.31), format_seconds(12.3), format_seconds(200), format_seconds(7300)
    ('2.1 ms', '0.31 s', '12 s', '3 min 20 s', '2 h 1 min')
    """
    if seconds is None or not math.isfinite(seconds):
        return ABSENT
    if seconds < 1e-3:
        return f"{format_number(seconds * 1e6, 2)} µs"
    if seconds < 0.1:
        return f"{format_number(seconds * 1e3, 2)} ms"
    if seconds < 60:
        return f"{format_number(float(seconds), 2)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def _scientific(value: float, digits: int) -> str:
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"
