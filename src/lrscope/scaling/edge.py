"""The edge: where, right of the best rate, part of what training gained is lost again.

It is sharper than the flat minimum left of it, and moves less with the length of a run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

LOST = 0.1  # the share of the gain whose loss marks the edge


@dataclass(frozen=True, kw_only=True)
class Edge:
    """Where the edge is, log₂ η, between two rates that were tried."""

    octave: float
    lower: float
    upper: float


def best_octave(losses: Mapping[float, float]) -> float | None:
    """log₂ η of the least loss, the lower where two are alike; None where no loss is finite."""
    finite = {octave: loss for octave, loss in losses.items() if math.isfinite(loss)}
    return min(finite, key=lambda octave: (finite[octave], octave)) if finite else None


def find_edge(losses: Mapping[float, float], initial_loss: float) -> Edge | None:
    """The edge by straight lines between the rates tried; None where none is so high.

    Arguments:
        losses: log₂ η -> loss at the end of the run, inf = diverged. initial_loss: before training.

    >>> find_edge({-3.0: 1.0, -2.0: 0.5, -1.0: 0.9}, 2.5)
    Edge(octave=-1.5, lower=-2.0, upper=-1.0)
    """
    best = best_octave(losses)
    if best is None:
        return None
    gain = max(initial_loss - losses[best], 0.0)
    limit = losses[best] + LOST * gain
    for lower, upper in pairwise(sorted(octave for octave in losses if octave >= best)):
        if not losses[upper] <= limit:
            height = min(losses[upper], initial_loss + gain)  # a diverged run is as high as it need be
            share = (limit - losses[lower]) / (height - losses[lower]) if height > losses[lower] else 1.0
            return Edge(octave=lower + share * (upper - lower), lower=lower, upper=upper)
    return None
