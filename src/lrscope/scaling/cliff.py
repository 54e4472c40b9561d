"""The cliff to the right of an optimum: where training fails, told from runs that failed and runs that did not.

A run fails at a rate x = log₂ η with probability Φ((x − c)/S): the cliff c is not known, and differs from seed to seed
by S, which is not known either: mostly a quarter octave, but some runs fail at random over two octaves. Every run is
evidence, and a single one says little: near a cliff seen through one seed the next seed may fail.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr

Floats = NDArray[np.float64]

SEED_SPREAD = 0.25  # S, octaves, as a rule
SPREADS: Floats = np.array([SEED_SPREAD, 0.5, 1.0])
SPREAD_PRIOR: Floats = np.array([0.9, 0.07, 0.03])
COLLAPSE = 0.25  # a run that lost this share of the best run's progress has failed
SAFE_OCTAVES = 0.5  # the optimum of the mean over seeds is at least this far from the cliff
UNSEEN = 3.0  # octaves above the highest rate tried within which a cliff is expected where none has been seen
_GRID = 241


@dataclass(frozen=True, kw_only=True, eq=False)
class Cliff:
    """Equally likely cliffs: places, log₂ η, and spreads between seeds, octaves; both (draws,).

    `seen`: whether any run failed. `cost`: the share of the gain that a run that fails is expected to lose.
    """

    places: Floats
    spreads: Floats
    seen: bool
    cost: float

    def chances(self, x: Floats) -> Floats:
        """The probability under each cliff that a run fails at each x = log₂ η: (draws, len(x))."""
        chances: Floats = ndtr((x - self.places[:, None]) / self.spreads[:, None])
        return chances

    def failing(self, x: Floats) -> Floats:
        """The probability that a run fails at each x = log₂ η: (len(x),)."""
        failing: Floats = self.chances(x).mean(axis=0)
        return failing


def progress_lost(loss: Floats, initial_loss: float | None) -> Floats:
    """The share of the best run's gain that each run lost, (runs,): all of it where it is not finite.

    Where no run gained anything, or nobody knows, none that ended lost anything.

    >>> progress_lost(np.array([1.0, 0.0, 0.5, np.nan]), 1.0).tolist()
    [1.0, 0.0, 0.5, 1.0]
    """
    ended = np.isfinite(loss)
    best = float(loss[ended].min()) if ended.any() else math.inf
    if initial_loss is None or initial_loss <= best:
        return np.where(ended, 0.0, 1.0)
    return np.where(ended, np.minimum((loss - best) / (initial_loss - best), 1.0), 1.0)


def failed_runs(x: Floats, loss: Floats, initial_loss: float | None) -> NDArray[np.bool_]:
    """Which runs failed: not finite, or a quarter of the gain worse than they should be.

    A run at the best rate or above should reach the best run's loss; one below it, the mean at any lower rate: to the
    left the loss only falls.

    Arguments:
        x: (runs,) log₂ η. loss: (runs,) final losses.

    >>> failed_runs(np.array([-4.0, -3.0, -2.0, -1.0]), np.array([1.9, 0.1, 0.3, 0.9]), 2.1)
    array([False, False, False,  True])
    """
    lost = progress_lost(loss, initial_loss)
    at = np.unique(np.round(x, 8), return_inverse=True)[1]
    means = np.bincount(at, weights=lost) / np.bincount(at)
    expected = np.minimum.accumulate(np.concatenate([[1.0], means[:-1]]))  # (rates,) by the lower ones
    expected[np.argmin(means) :] = 0.0
    failed: NDArray[np.bool_] = ~np.isfinite(loss) | (lost - expected[at] >= COLLAPSE)
    return failed


def failure_cost(failed: NDArray[np.bool_], loss: Floats, initial_loss: float | None) -> float:
    """The share of the gain that a failure is expected to cost: the mean over those seen and one that lost all of it.

    >>> failure_cost(np.array([False, False, True]), np.array([1.0, 0.0, 0.5]), 1.0)
    0.75
    """
    lost = progress_lost(loss, initial_loss)[failed]
    return float((lost.sum() + 1.0) / (lost.size + 1.0))


def lowest_failing(x: Floats, failed: NDArray[np.bool_], above: float) -> float:
    """The lowest x = log₂ η beyond `above` at which most runs failed; infinite where there is none."""
    rates, at = np.unique(np.round(x, 8), return_inverse=True)
    most = (2 * np.bincount(at, weights=failed) > np.bincount(at)) & (rates > above + 1e-6)
    return float(rates[most].min()) if most.any() else math.inf


def find_cliff(x: Floats, failed: NDArray[np.bool_], cost: float, draws: int, rng: np.random.Generator) -> Cliff:
    """Draw cliffs from their posterior: flat in the place, which ends UNSEEN octaves above the runs, and SPREAD_PRIOR.

    Where nothing failed, there is nothing to learn a spread from: it is what it mostly is.

    Arguments:
        x: (runs,) log₂ η. failed: (runs,) whether each run failed. cost: of a failure, as a share of the gain.
    """
    seen = bool(failed.any())
    kinds = SPREADS.size if seen else 1
    highest = float(x[failed].min()) + 2.0 if seen else float(x.max()) + UNSEEN
    places = np.linspace(float(x.min()) - 1.0, highest, _GRID)
    distance = (x[:, None, None] - places) / SPREADS[:kinds, None]  # (runs, spreads, places)
    log_density = np.where(failed[:, None, None], log_ndtr(distance), log_ndtr(-distance)).sum(axis=0)
    log_density += np.log(SPREAD_PRIOR[:kinds, None])
    cumulative = np.cumsum(np.exp(log_density - log_density.max()))
    levels = (np.arange(draws) + 0.5) / draws * cumulative[-1]
    kind, place = np.divmod(np.minimum(np.searchsorted(cumulative, levels), cumulative.size - 1), _GRID)
    order = rng.permutation(draws)
    jitter = (places[1] - places[0]) * (rng.random(draws) - 0.5)  # within a step of the grid
    return Cliff(places=places[place][order] + jitter, spreads=SPREADS[kind][order], seen=seen, cost=cost)
