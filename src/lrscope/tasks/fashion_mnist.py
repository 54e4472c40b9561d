"""Fashion-MNIST (Xiao 2017, arXiv 1708.07747): 70,000 real images of clothes, where the machine has them."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from lrscope.errors import InvalidTask
from lrscope.study.task import Task
from lrscope.tasks.digits import accuracy

FOLDER_VARIABLE = "LRSCOPE_FASHION_MNIST"
"""The environment variable that names another folder than Debian's."""

_DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")


def fashion_mnist() -> Task:
    """A CNN with BatchNorm under SGD with momentum."""
    return Task(
        name="fashion-mnist",
        model=_cnn,
        loss=F.cross_entropy,
        train=_load("train"),
        validation=_load("t10k"),
        metrics={"accuracy": accuracy},
        optimizer="sgd",
        epochs=2,
        batch_sizes=(64, 256, 1024),
    )


def _cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 10),
    )


def _load(part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images [N, 1, 28, 28] in [0, 1] and labels [N] of a part, "train" or "t10k"."""
    folder = Path(os.environ.get(FOLDER_VARIABLE, _DEBIAN_FOLDER))
    images, labels = (folder / f"{part}-{kind}.gz" for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"))
    if not (images.is_file() and labels.is_file()):
        raise InvalidTask(
            f"Fashion-MNIST is not in '{folder}': install Debian's package dataset-fashion-mnist, or name a folder "
            f"with its four .gz files in the environment variable {FOLDER_VARIABLE}."
        )
    pixels = _read_idx(images, header=16).reshape(-1, 1, 28, 28)
    return torch.from_numpy(pixels).float() / 255, torch.from_numpy(_read_idx(labels, header=8)).long()


def _read_idx(path: Path, header: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """The bytes of an IDX file behind its header."""
    try:
        with gzip.open(path) as file:
            return np.frombuffer(file.read(), dtype=np.uint8, offset=header).copy()
    except (OSError, EOFError, ValueError) as error:
        raise InvalidTask(f"'{path}' is not a gzipped IDX file: {error}.") from None
