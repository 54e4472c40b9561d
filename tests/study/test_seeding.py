"""Streams of random numbers: apart from each other, and nobody else's are disturbed."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from lrscope.study.seeding import EPOCHS, TRAINING, WEIGHTS, isolated_rng, stream_seed


def test_every_seed_and_stream_has_a_seed_of_its_own() -> None:
    seeds = {
        stream_seed(seed, stream) for seed in range(20) for stream in (WEIGHTS, TRAINING, *range(EPOCHS, EPOCHS + 9))
    }
    assert len(seeds) == 20 * 11
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert stream_seed(3, WEIGHTS) == stream_seed(3, WEIGHTS)


def drawn() -> tuple[float, float, float]:
    return float(torch.rand(())), random.random(), float(np.random.random())  # noqa: NPY002


def test_inside_the_seed_decides_and_outside_nothing_has_happened() -> None:
    with isolated_rng(1):
        first = drawn()
    torch.manual_seed(7)
    random.seed(7)
    np.random.seed(7)  # noqa: NPY002
    expected = drawn(), drawn()
    torch.manual_seed(7)
    random.seed(7)
    np.random.seed(7)  # noqa: NPY002
    before = drawn()
    with isolated_rng(1):
        assert drawn() == first
    with pytest.raises(RuntimeError, match="anything"), isolated_rng(2):
        raise RuntimeError("anything")
    assert (before, drawn()) == expected
