"""Words that several sections share."""

from __future__ import annotations

from collections.abc import Sequence

from lrscope.report.extract.thin import POINTS

METRICS = {"val_loss": "validation loss", "train_loss": "training loss"}
STATUS = {
    "found": "found",
    "edge": "at the edge of the rates tried",
    "inconclusive": "inconclusive",
    "all_diverged": "all runs diverged",
}
ZOOM = "Drag to move, Ctrl and the wheel to zoom, double click to go back."


def thinned(share: float) -> str:
    """How curves were made light.

    >>> thinned(0.01).split(";")[0]
    'Smoothed by an exponential moving average with a half-life of 1 % of the run'
    """
    return (
        f"Smoothed by an exponential moving average with a half-life of {100 * share:.0f} % of the run; "
        f"thinned to {POINTS} points by largest triangle three buckets."
    )


def listed(items: Sequence[object]) -> str:
    """`a`, `a and b`, `a, b and c`.

    >>> listed([16, 64, 256])
    '16, 64 and 256'
    """
    texts = [str(item) for item in items]
    return " and ".join(filter(None, [", ".join(texts[:-1]), texts[-1]])) if texts else ""


def times(factor: float) -> str:
    """A ratio in words: `4.1 times`.

    >>> times(4.13), times(1.0)
    ('4.1 times', '1 times')
    """
    return f"{factor:.2g} times" if factor < 100 else f"{factor:,.0f} times"
