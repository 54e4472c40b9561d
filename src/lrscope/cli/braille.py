"""Curves drawn with braille dots in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

COLORS = ("blue", "dark_orange", "green", "magenta", "red", "cyan", "yellow")
"""Terminal colours of the curves, in order."""
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""The bit of each dot of a braille cell: (4 rows, 2 columns)."""


def braille_plot(curves: Sequence[NDArray[np.float64]], *, width: int = 64, height: int = 12) -> Text:
    """Curves over a common x axis, from zero to the largest value, with the ends of the y axis written beside them.

    Arguments:
        curves: each (points,), drawn over the whole width. width, height: in characters.
    """
    top = max(float(np.max(curve)) for curve in curves) or 1.0
    cells = np.zeros((height, width), dtype=np.int64)
    owner = np.zeros((height, width), dtype=np.int64)
    for number, curve in enumerate(curves):
        for x, y in _dots(curve / top, 2 * width, 4 * height):
            cells[y // 4, x // 2] |= _DOTS[y % 4, x % 2]
            owner[y // 4, x // 2] = number
    text = Text(no_wrap=True)
    for row in range(height):
        label = f"{top:.3g}" if row == 0 else "0" if row == height - 1 else ""
        text.append(f"{label:>9} │", style="dim")
        for column in range(width):
            style = COLORS[owner[row, column] % len(COLORS)]
            text.append(chr(0x2800 + int(cells[row, column])), style=style)
        text.append("\n")
    return text


def _dots(share: NDArray[np.float64], columns: int, rows: int) -> list[tuple[int, int]]:
    """The dots of one curve, its jumps filled: (x, y), y counted from the top."""
    at = np.linspace(0, share.size - 1, columns).round().astype(int)
    y = (rows - 1 - np.clip(share[at], 0.0, 1.0) * (rows - 1)).round().astype(int)
    dots = []
    for x in range(columns):
        before = int(y[max(0, x - 1)])
        low, high = sorted((before, int(y[x])))
        dots += [(x, row) for row in range(low, high + 1) if row != before or low == high or x == 0]
    return dots
