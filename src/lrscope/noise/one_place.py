"""The noise scale at one place, from several gradients there or from their inner products."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from lrscope.errors import InvalidInput
from lrscope.noise.noise_scale import NoiseScale

MIN_GRADIENTS = 4
"""Fewer gradients at one place do not tell how much their products vary, so there is no interval."""


def noise_scale_from_gradients(
    gradients: ArrayLike, batch_size: float = 1, *, preconditioner: ArrayLike | None = None
) -> NoiseScale:
    """The noise scale at one place, from K gradients of equal, independent batches there.

    |G|² is the mean product of two different gradients, tr Σ = b · (mean squared norm − |G|²).

    Arguments:
        gradients: (K, parameters), K ≥ 4: each the mean gradient over `batch_size` examples.
        batch_size: examples behind each row; 1 = per-example gradients.
        preconditioner: (parameters,) what the optimizer multiplies a gradient by; for Adam 1/(√v̂ + ε). The noise scale
            is then tr(PΣP)/|PG|² (Qiao 2021, arXiv 2008.12260). Its overall size does not matter.

    Raises:
        InvalidInput: fewer than 4 gradients, a wrong shape, or values that are not finite.

    >>> rng = np.random.default_rng(0)
    >>> gradients = np.array([1.0, 0.0]) + rng.normal(size=(4000, 2))  # tr Σ = 2, |G|² = 1
    >>> 1.8 < noise_scale_from_gradients(gradients).value < 2.2
    True
    """
    rows = np.asarray(gradients, dtype=np.float64)
    if rows.ndim != 2 or not np.all(np.isfinite(rows)):
        raise InvalidInput(f"Gradients must be a finite array of shape (K, parameters). Got shape {rows.shape}.")
    if preconditioner is not None:
        rows = rows * np.asarray(preconditioner, dtype=np.float64)
    gram = rows @ rows.T
    return noise_scale_from_products(gram, np.diagonal(gram), batch_size)


def noise_scale_from_products(products: ArrayLike, small_sq_norm: ArrayLike, small_batch: float) -> NoiseScale:
    """The noise scale from the inner products of K gradients, for gradients too large to be kept.

    Arguments:
        products: (K, K) inner products of the mean gradients of K equal, independent groups of examples.
        small_sq_norm: (K,) mean squared norm of the small batches within each group; the diagonal of `products` where
            group and small batch are one and the same.
        small_batch: examples in a small batch.

    The variances are those of a U-statistic: what one group moves (from row means), less the half of the pairwise part
    that row means count twice.
    """
    gram = np.asarray(products, dtype=np.float64)
    small = np.asarray(small_sq_norm, dtype=np.float64)
    k = len(small)
    if gram.shape != (k, k) or small.ndim != 1 or k < MIN_GRADIENTS or small_batch <= 0:
        raise InvalidInput(
            f"The noise scale at one place needs the products of at least {MIN_GRADIENTS} gradients, shapes (K, K) and "
            f"(K,), and a positive small batch. Got {gram.shape}, {small.shape} and {small_batch}."
        )
    off = gram - np.diag(np.diagonal(gram))
    row_mean = off.sum(axis=1) / (k - 1)  # (K,)
    square = float(row_mean.mean())
    influence = np.stack([small_batch * (small - 2.0 * row_mean), 2.0 * row_mean])  # (2, K): tr Σ, |G|²
    lone = (row_mean - square) * (k - 1) / (k - 2)
    residual = off - square - lone[:, None] - lone[None, :]
    np.fill_diagonal(residual, 0.0)
    pairwise = float((residual**2).sum()) / (k * (k - 3))
    sign = np.array([-small_batch, 1.0])
    covariance = np.cov(influence) / k - np.outer(sign, sign) * 2.0 * pairwise / (k * (k - 1))
    floor = 2.0 * pairwise / (k * (k - 1))  # the pairwise part alone is the least that the variance of |G|² can be
    return NoiseScale(
        trace=small_batch * (float(small.mean()) - square),
        square=square,
        trace_variance=max(float(covariance[0, 0]), small_batch**2 * floor),
        square_variance=max(float(covariance[1, 1]), floor),
        covariance=float(covariance[0, 1]),
        dof=float(k - 1),
        observations=k,
        square_growth=4.0 * float(np.var(gram.mean(axis=1), ddof=1)) / k / max(float(gram.mean()), 1e-300),
        square_floor=floor,
    )
