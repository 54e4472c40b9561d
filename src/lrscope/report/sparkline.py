"""A loss-against-learning-rate curve in one line of text, for the terminal. NumPy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrscope.errors import InvalidInput

BARS = "▁▂▃▄▅▆▇█"
DIVERGED = "×"
NOTHING = " "


def sparkline(lr: ArrayLike, loss: ArrayLike, *, initial_loss: float | None = None, width: int = 24) -> str:
    """The curve so far, low rates left: a bar per half octave or coarser, × where the runs diverged.

    Bars stand on the lowest loss and reach up to the highest finite one, or to `initial_loss`, whichever is less;
    heights go with the square root of the excess, so that the bottom of the curve keeps its shape. Several losses
    in one column are averaged.

    Arguments:
        lr, loss: (n,) each; a loss that is not finite diverged.
        initial_loss: the loss before training. width: the most characters.

    >>> sparkline([0.01, 0.02, 0.04, 0.08, 0.16], [1.0, 0.4, 0.1, 0.3, float("inf")])
    '█ ▅ ▁ ▄ ×'
    >>> sparkline([], [])
    ''
    """
    rates, losses = np.asarray(lr, dtype=np.float64), np.asarray(loss, dtype=np.float64)
    if rates.shape != losses.shape:
        raise InvalidInput(f"sparkline needs as many losses as rates. Got {rates.shape} and {losses.shape}.")
    if not len(rates):
        return ""
    position = np.log2(rates) - np.log2(rates.min())
    columns = max(1, min(width, round(2 * float(position.max())) + 1))
    column = np.rint(position / max(float(position.max()), 1e-9) * (columns - 1)).astype(int)
    finite = np.isfinite(losses)
    low = losses[finite].min() if finite.any() else 0.0
    high = losses[finite].max() if finite.any() else 0.0
    if initial_loss is not None and np.isfinite(initial_loss):
        high = max(low, min(high, initial_loss))
    return "".join(_character(losses[column == index], low, high) for index in range(columns))


def _character(losses: NDArray[np.float64], low: float, high: float) -> str:
    if not len(losses):
        return NOTHING
    finite = losses[np.isfinite(losses)]
    if not len(finite):
        return DIVERGED
    share = 0.0 if high <= low else min(1.0, max(0.0, (finite.mean() - low) / (high - low)))
    return BARS[round(float(np.sqrt(share)) * (len(BARS) - 1))]
