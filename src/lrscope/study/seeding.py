"""Random numbers by seed and stream, so that a seed fixes each of them apart and nobody else's are disturbed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

WEIGHTS, TRAINING, SUBSET, EVALUATION, DATA = range(5)
"""Separate streams of one seed; the data order of epoch e is stream `EPOCHS + e`."""

EPOCHS = 1000


def stream_seed(seed: int, stream: int) -> int:
    """A seed for one stream of random numbers, well apart from those of other seeds and streams."""
    return int(np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def preserved_rng() -> Iterator[None]:
    """Leave the caller's generators (torch, NumPy, random) as they were, whatever is drawn inside."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 (users' code draws from it)
    with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002


@contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Run under seeded generators (torch, NumPy, random) and leave the caller's as they were."""
    with preserved_rng():
        if torch.accelerator.is_available():
            torch.manual_seed(seed)
        else:  # the same without the devices that there are not, which takes longer than a small update
            torch.default_generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        yield
