"""Cells as numbers: NaN and Infinity in every spelling that loggers use."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MISSING = {"", "null", "none", "na", "n/a", "<na>", "#n/a", "-", "--", "nil", "undefined", "missing"}
_SPELLINGS = {
    "1.#inf": math.inf, "+1.#inf": math.inf, "-1.#inf": -math.inf, "1.#inf00": math.inf, "-1.#inf00": -math.inf,
    "1.#ind": math.nan, "-1.#ind": math.nan, "1.#qnan": math.nan, "-1.#qnan": math.nan, "1.#snan": math.nan,
    "∞": math.inf, "+∞": math.inf, "-∞": -math.inf, "nan(ind)": math.nan, "-nan(ind)": math.nan, "#num!": math.nan,
    "-nan": math.nan, "+nan": math.nan, "nanq": math.nan, "overflow": math.inf,
}  # fmt: skip
_TENSOR = re.compile(r"^tensor\(\s*\[?\s*([^,\]\)]+)")


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """A table's column. `number` is NaN where a cell is empty or no number; `given` is False where it is empty.

    `unreadable` marks cells that are given but are no number; `text` is there only where the column is not numeric.
    All (rows,).
    """

    number: NDArray[np.float64]
    given: NDArray[np.bool_]
    unreadable: NDArray[np.bool_]
    text: Sequence[str] | None = None


_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?")


def without_thousands(cell: str) -> str:
    """A cell of a table whose cells are set apart by commas: a comma within a number groups its thousands.

    >>> [without_thousands(c) for c in ("1,024", "12,345,678.5", "0,5")]
    ['1024', '12345678.5', '0,5']
    """
    return cell.replace(",", "") if "," in cell and _THOUSANDS.fullmatch(cell.strip()) else cell


def to_number(cell: object) -> float | None:
    """A cell as a float; None where it is empty. Raises ValueError where it is neither.

    >>> [to_number(c) for c in ("2.5", "-Infinity", "1.#INF", "null", "", "tensor(0.5)")]
    [2.5, -inf, inf, None, None, 0.5]
    """
    if cell is None:
        return None
    if isinstance(cell, str):
        text = cell.strip()
        try:
            return float(text)
        except ValueError:
            low = text.lower()
        if low in _MISSING:
            return None
        if low in _SPELLINGS:
            return _SPELLINGS[low]
        tensor = _TENSOR.match(low)
        if tensor:
            return to_number(tensor.group(1))
        if re.fullmatch(r"[+-]?\d*,\d+(e[+-]?\d+)?", low):  # a decimal comma
            return float(low.replace(",", "."))
        raise ValueError(text)
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        try:
            return float(cell)
        except OverflowError:
            return math.inf if cell > 0 else -math.inf
    raise ValueError(repr(cell))


def column(cells: Sequence[object]) -> Column:
    """Cells (rows,), strings or values, as a column: numeric unless most of what is given is not a number."""
    try:  # the fast way: every cell a number or empty
        number = np.array([float(c) if c != "" else math.nan for c in cells], dtype=np.float64)  # type: ignore[arg-type]
        if not any(isinstance(c, bool) for c in cells):
            given = np.array([c != "" for c in cells], dtype=np.bool_)
            return Column(number=number, given=given, unreadable=np.zeros(len(cells), dtype=np.bool_))
    except (TypeError, ValueError, OverflowError):
        pass
    number = np.full(len(cells), math.nan)
    given = np.zeros(len(cells), dtype=np.bool_)
    unreadable = np.zeros(len(cells), dtype=np.bool_)
    for k, cell in enumerate(cells):
        try:
            value = to_number(cell)
        except ValueError:
            unreadable[k] = given[k] = True
            continue
        if value is not None:
            number[k] = value
            given[k] = True
    text = ["" if c is None else str(c).strip() for c in cells]
    mostly_text = 2 * np.count_nonzero(unreadable) > np.count_nonzero(given)
    return Column(number=number, given=given, unreadable=unreadable, text=text if mostly_text else None)
