"""The cliff to the right of an optimum: where training fails, told from runs that failed and runs that did not.

A run fails at a rate x = log₂ η with probability Φ((x − c)/S): the cliff c is not known, and differs from seed to seed
by S. Every run is evidence, and a single one says little: near a cliff seen through one seed the next seed may fail.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr

Floats = NDArray[np.float64]

SEED_SPREAD = 0.25  # S, octaves
COLLAPSE = 0.25  # a run above the best rate that lost this share of the best run's progress has failed
SAFE_OCTAVES = 0.5  # the optimum of the mean over seeds is at least this far from the cliff
UNSEEN = 3.0  # octaves above the highest rate tried within which a cliff is expected where none has been seen
_GRID = 241


@dataclass(frozen=True, kw_only=True, eq=False)
class Cliff:
    """Equally likely places of the cliff, log₂ η: (draws,). `seen`: whether any run failed."""

    places: Floats
    seen: bool

    def failing(self, x: Floats) -> Floats:
        """The probability that a run fails at each x = log₂ η: (len(x),)."""
        chances: Floats = ndtr((x[:, None] - self.places) / SEED_SPREAD).mean(axis=1)
        return chances


def failed_runs(
    x: Floats, loss: Floats, best: float, best_loss: float, initial_loss: float | None
) -> NDArray[np.bool_]:
    """Which runs at the best rate, x = `best`, and above failed: not finite, or much of their progress is gone."""
    gained = initial_loss is not None and initial_loss > best_loss  # where no run gained anything, none lost it
    limit = best_loss + COLLAPSE * (initial_loss - best_loss) if gained and initial_loss is not None else np.inf
    failed: NDArray[np.bool_] = (x >= best - 1e-6) & ~(np.isfinite(loss) & (loss < limit))
    return failed


def find_cliff(x: Floats, failed: NDArray[np.bool_], draws: int, rng: np.random.Generator) -> Cliff:
    """Draw places of the cliff from its posterior under a flat prior, which ends UNSEEN octaves above the runs.

    Arguments:
        x: (runs,) log₂ η. failed: (runs,) whether each run failed.
    """
    highest = float(x[failed].min()) + 2.0 if failed.any() else float(x.max()) + UNSEEN
    places = np.linspace(float(x.min()) - 1.0, highest, _GRID)
    distance = (x[:, None] - places) / SEED_SPREAD  # (runs, places)
    density = np.where(failed[:, None], log_ndtr(distance), log_ndtr(-distance)).sum(axis=0)
    cumulative = np.cumsum(np.exp(density - density.max()))
    levels = (np.arange(draws) + 0.5) / draws * cumulative[-1]
    drawn = np.interp(levels, cumulative, places)
    rng.shuffle(drawn)
    return Cliff(places=drawn, seen=bool(failed.any()))
