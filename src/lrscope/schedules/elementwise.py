"""Arithmetic that gives the same bits for one float and for an array of them.

Addition, multiplication, division and square root are rounded exactly by IEEE 754, so Python floats and NumPy loops
agree on them. Cosines, exponentials and powers are not: each library (and each SIMD width) has its own last bit. So
both paths call the same NumPy loop here, never the `math` module.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any, Literal, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
Steps = TypeVar("Steps", float, FloatArray)
"""One step as a Python float, or a contiguous one-dimensional float64 array of them."""


def cos(x: Steps) -> Steps:
    """The cosine of x."""
    return float(np.cos(x)) if isinstance(x, float) else np.cos(x)


def tanh(x: Steps) -> Steps:
    """The hyperbolic tangent of x."""
    return float(np.tanh(x)) if isinstance(x, float) else np.tanh(x)


def log(x: Steps) -> Steps:
    """The natural logarithm of x."""
    return float(np.log(x)) if isinstance(x, float) else np.log(x)


def sqrt(x: Steps) -> Steps:
    """The square root of x."""
    return float(np.sqrt(x)) if isinstance(x, float) else np.sqrt(x)


def floor(x: Steps) -> Steps:
    """The largest whole number at or below x."""
    return float(np.floor(x)) if isinstance(x, float) else np.floor(x)


def power(x: Steps, exponent: float) -> Steps:
    """x to a fixed exponent; 1 and 2 without a power at all."""
    if exponent == 1.0:
        return x
    if exponent == 2.0:
        return x * x
    if isinstance(x, float):
        return float(np.power(x, exponent))
    return cast(Steps, np.power(x, exponent))


def exponential(base: float, x: Steps) -> Steps:
    """A fixed base to the power of x.

    NumPy squares instead when the exponent is a lone 2 (a stride of zero), which has other bits than the power loop: a
    single exponent is therefore given twice.
    """
    if base > 1.0:
        with np.errstate(over="ignore"):  # past the largest number it is infinite, and may still be capped
            return _raised(base, x)
    return _raised(base, x)


def _raised(base: float, x: Steps) -> Steps:
    if isinstance(x, float):
        return float(np.power(base, np.array((x, x)))[0])
    if x.size == 1:
        return cast(Steps, np.power(base, np.repeat(x, 2))[:1])
    return cast(Steps, np.power(base, x))


def clip(x: Steps, low: float, high: float) -> Steps:
    """x held between low and high."""
    if isinstance(x, float):
        return float(low if x < low else high if x > high else x)
    return cast(Steps, np.minimum(np.maximum(x, low), high))


def maximum(x: Steps, low: float) -> Steps:
    """The larger of x and low."""
    if isinstance(x, float):
        return float(low) if x < low else x
    return cast(Steps, np.maximum(x, low))


def minimum(x: Steps, high: float) -> Steps:
    """The smaller of x and high."""
    if isinstance(x, float):
        return float(high) if x > high else x
    return cast(Steps, np.minimum(x, high))


def remainder(x: Steps, period: float) -> Steps:
    """What is left of x >= 0 after whole periods; exact, as C's fmod is."""
    return float(np.fmod(x, period)) if isinstance(x, float) else np.fmod(x, period)


def quotient(x: Steps, period: float) -> Steps:
    """The number of whole periods in x >= 0, without the rounding of floor(x / period): exact below 2^53."""
    if isinstance(x, float):
        return x // period
    return cast(Steps, np.floor_divide(x, period))


def constant_like(x: Steps, value: float) -> Steps:
    """The value, in the shape of x."""
    return value if isinstance(x, float) else cast(Steps, np.full(x.shape, value))


def choose(condition: Any, yes: Steps, no: Steps) -> Steps:
    """`yes` where the condition holds, else `no`."""
    if isinstance(yes, float):
        return yes if condition else no
    return cast(Steps, np.where(condition, yes, no))


def look_up(index: Any, table: tuple[float, ...], array: FloatArray) -> Any:
    """Entries of a table: of the tuple for one index (fast), of its array for an array of them."""
    return array[index] if isinstance(index, np.ndarray) else table[index]


def count_edges(x: Steps, edges: tuple[float, ...], array: FloatArray, *, side: Literal["left", "right"]) -> Any:
    """How many edges lie at or before x (side "right"), or before it ("left"): an int, or an array of them."""
    if isinstance(x, float):
        return bisect_right(edges, x) if side == "right" else bisect_left(edges, x)
    return np.searchsorted(array, x, side=side)
