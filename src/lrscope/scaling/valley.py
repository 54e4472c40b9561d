"""Whether losses show a valley over the learning rate at all, or differ by no more than noise makes them.

The best valley through the losses, falling and then rising, explains a part of their variance. Were the rate without
effect, any order of the losses would be as likely: the chance that shuffled ones are explained as well is the p-value.
"""

from __future__ import annotations

import numpy as np

from lrscope.scaling.posterior import Floats

SHUFFLES = 400
DOUBT = 0.2  # the p-value above which no valley is seen; five single runs in perfect order have 16/120
FEWEST = 5  # runs; of four, one order in three is a valley


def valley_doubt(rate: Floats, loss: Floats, seed: Floats | None = None) -> float:
    """The probability that losses without a valley look as much like one as these; 0 where they are too few to say.

    Arguments:
        rate: (runs,) learning rates. loss: (runs,) finite losses. seed: (runs,) losses are shuffled within a seed only.

    >>> valley_doubt(np.arange(7.0), np.array([9.0, 5.0, 2.0, 1.0, 2.0, 6.0, 9.5])) < 0.05
    True
    """
    place = np.unique(rate, return_inverse=True)[1]
    if loss.size < FEWEST or place.max() < 1 or not np.ptp(loss) > 0:
        return 0.0
    runs = np.bincount(place).astype(np.float64)
    blocks = [np.arange(loss.size)] if seed is None else [np.flatnonzero(seed == one) for one in np.unique(seed)]
    rng = np.random.default_rng(0)

    def explained(losses: Floats) -> float:
        return _valley_variance(np.bincount(place, weights=losses) / runs, runs)

    centred = loss - loss.mean()
    seen, as_good = explained(centred) * (1 - 1e-9), 0
    for _ in range(SHUFFLES):
        shuffled = centred.copy()
        for block in blocks:
            shuffled[block] = rng.permutation(centred[block])
        as_good += explained(shuffled) >= seen
    return as_good / SHUFFLES


def _valley_variance(mean: Floats, runs: Floats) -> float:
    """The sum of squares of the best valley through means of so many runs each; the means are about zero."""
    falling, rising = _prefixes(-mean, runs), _prefixes(-mean[::-1], runs[::-1])[::-1]
    return float(np.max(falling + rising))


def _prefixes(mean: Floats, runs: Floats) -> Floats:
    """For every prefix, the sum of squares of the nondecreasing sequence nearest to it: (n + 1,), by pooling."""
    sums: list[float] = []
    counts: list[float] = []
    explained = [0.0]
    for value, count in zip((mean * runs).tolist(), runs.tolist(), strict=True):
        total = explained[-1]
        while sums and sums[-1] * count >= value * counts[-1]:
            before, many = sums.pop(), counts.pop()
            total -= before**2 / many
            value, count = value + before, count + many
        sums.append(value)
        counts.append(count)
        explained.append(total + value**2 / count)
    return np.array(explained)
