"""The laws of the optimal learning rate against the batch size: seven shapes, each an amplitude times a function of B.

All in octaves: log₂ η*(B) = amplitude + shape(log₂ B; θ), with at most one parameter θ; log₂ B_n where a law saturates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Kind = Literal["none", "exponent", "batch_size"]


@dataclass(frozen=True, kw_only=True)
class LawShape:
    """One law: `shape(log2_batch, theta)` in octaves (arguments broadcast), what θ is, and where it is from.

    `prior` is how much a law is believed before the data, relative to others: small networks follow powers of 0.3 to
    0.5; language models follow them up to a knee, past which the linear-saturating law or surge fits best.
    `exponents`: normal prior (mean, deviation) of an exponent; that of a noise batch size is in `law_fit`.
    """

    name: str
    formula: str
    source: str
    kind: Kind
    shape: Callable[[Floats, Floats], Floats]
    saturates: bool = False
    prior: float = 1.0
    exponents: tuple[float, float] = (0.4, 0.35)


def _constant(b: Floats, theta: Floats) -> Floats:
    return np.zeros(np.broadcast_shapes(b.shape, theta.shape))


def _linear(b: Floats, theta: Floats) -> Floats:
    return b + 0.0 * theta


def _square_root(b: Floats, theta: Floats) -> Floats:
    return 0.5 * b + 0.0 * theta


def _power(b: Floats, theta: Floats) -> Floats:
    return b * theta


def _linear_saturating(b: Floats, theta: Floats) -> Floats:
    shape: Floats = -np.logaddexp2(0.0, theta - b)
    return shape


def _square_root_saturating(b: Floats, theta: Floats) -> Floats:
    shape: Floats = -0.5 * np.logaddexp2(0.0, theta - b)
    return shape


def _surge(b: Floats, theta: Floats) -> Floats:
    shape: Floats = 1.0 - np.logaddexp2(0.5 * (theta - b), 0.5 * (b - theta))
    return shape


LAWS: tuple[LawShape, ...] = (
    LawShape(name="constant", formula="η* = η₁", source="", kind="none", shape=_constant, prior=0.1),
    LawShape(
        name="linear",
        formula="η* = η₁ B",
        source="Goyal 2017, arXiv 1706.02677",
        kind="none",
        shape=_linear,
        prior=0.3,
    ),
    LawShape(
        name="square-root",
        formula="η* = η₁ √B",
        source="Krizhevsky 2014, arXiv 1404.5997",
        kind="none",
        shape=_square_root,
        prior=0.6,
    ),
    LawShape(name="power", formula="η* = η₁ B^p", source="", kind="exponent", shape=_power, prior=0.8),
    LawShape(
        name="linear-saturating",
        formula="η* = η_max / (1 + B_n/B)",
        source="McCandlish 2018, arXiv 1812.06162",
        kind="batch_size",
        shape=_linear_saturating,
        saturates=True,
        prior=0.3,
    ),
    LawShape(
        name="square-root-saturating",
        formula="η* = η_max / √(1 + B_n/B)",
        source="Malladi 2022, arXiv 2205.10287",
        kind="batch_size",
        shape=_square_root_saturating,
        saturates=True,
        prior=0.15,
    ),
    LawShape(
        name="surge",
        formula="η* = 2 η_max / (√(B_n/B) + √(B/B_n))",
        source="Li 2024, arXiv 2405.14578",
        kind="batch_size",
        shape=_surge,
        saturates=True,
        prior=0.15,
    ),
)
