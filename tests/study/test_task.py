"""A task refuses what it cannot use, in a sentence that names the argument, the value and what is accepted."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch.nn.functional as F

from lrscope.errors import InvalidTask
from lrscope.study.task import check_batch_sizes


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": " "}, r"'name' must be a text that is not empty. Got ' '"),
        ({"model": 3}, r"'model' of task 'regression' must be a function \(\) -> nn.Module. Got 3"),
        ({"loss": None}, "must have either 'loss'.* or 'batch_loss'"),
        ({"batch_loss": F.mse_loss}, "must have either 'loss'.* or 'batch_loss'"),
        ({"loss": "mse"}, "'loss' of task 'regression' must be a function .* Got 'mse'"),
        ({"metrics": {"accuracy": 1}}, "'metrics' of task 'regression' must be a dict of name"),
        ({"metrics": [F.mse_loss]}, "'metrics' of task 'regression' must be a dict of name"),
        ({"loss": None, "batch_loss": F.mse_loss, "metrics": {"a": F.mse_loss}}, "'metrics', which need 'loss'"),
        ({"optimizer": "adam"}, "'optimizer' of task 'regression' must be \"sgd\", \"adamw\" or .* Got 'adam'"),
        ({"optimizer": 0.1}, "'optimizer' of task 'regression' must be"),
        ({"epochs": None}, "exactly one of 'epochs', 'steps' and 'examples'.* Got none"),
        ({"steps": 10}, "exactly one of .* Got epochs and steps"),
        ({"epochs": 0}, "'epochs' of task 'regression' must be a number > 0. Got 0"),
        ({"epochs": float("nan")}, "'epochs' of task 'regression' must be a number > 0. Got nan"),
        ({"epochs": float("inf")}, "'epochs' of task 'regression' must be a number > 0. Got inf"),
        ({"epochs": "3"}, "'epochs' of task 'regression' must be a number > 0. Got '3'"),
        ({"epochs": None, "steps": 1.5}, "'steps' of task 'regression' must be a whole number > 0. Got 1.5"),
        ({"epochs": None, "examples": -1}, "'examples' of task 'regression' must be a whole number > 0. Got -1"),
        ({"batch_sizes": ()}, "batch sizes of task 'regression' must be at least one"),
        ({"batch_sizes": 16}, r"batch sizes of task 'regression' must be a tuple, like \(16, 64, 256\). Got 16"),
        ({"batch_sizes": "16"}, "batch sizes of task 'regression' must be a tuple"),
        ({"batch_sizes": (16, 0)}, "batch size of task 'regression' must be a whole number >= 1. Got 0"),
        ({"batch_sizes": (16, 2.5)}, "batch size of task 'regression' must be a whole number >= 1. Got 2.5"),
        ({"batch_sizes": (True,)}, "batch size of task 'regression' must be a whole number >= 1. Got True"),
        ({"clip_norm": 0}, "'clip_norm' of task 'regression' must be a number > 0 or None. Got 0"),
        ({"clip_norm": "1"}, "'clip_norm' of task 'regression' must be a number > 0 or None. Got '1'"),
        (
            {"precision": "float16"},
            "'precision' of task 'regression' must be \"float32\" or \"bfloat16\". Got 'float16'",
        ),
        ({"device": None}, "'device' of task 'regression' must be 'auto' or a PyTorch device's name. Got None"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(tiny: ModuleType, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidTask, match=sentence):
        tiny.regression(**changes)


def test_batch_sizes_are_sorted_once_each_and_any_kind_of_whole_number() -> None:
    assert check_batch_sizes([64, np.int64(16), 64], "here") == (16, 64)
    assert all(type(size) is int for size in check_batch_sizes(np.array([64, 16]), "here"))


@pytest.mark.parametrize(
    ("length", "batch_size", "steps"),
    [
        ({"epochs": 2}, 10, 20),
        ({"epochs": 2}, 30, 6),  # 100 // 30 updates an epoch, the short batch dropped
        ({"epochs": 2}, 100, 2),
        ({"epochs": 0.5}, 10, 5),
        ({"epochs": 0.001}, 10, 1),
        ({"epochs": None, "steps": 7}, 10, 7),
        ({"epochs": None, "steps": 7}, 100, 7),
        ({"epochs": None, "examples": 95}, 10, 9),
        ({"epochs": None, "examples": 5}, 10, 1),
    ],
)
def test_a_full_run_lasts_as_many_updates_as_said(
    tiny: ModuleType, length: dict[str, Any], batch_size: int, steps: int
) -> None:
    assert tiny.regression(**length).total_steps(batch_size, 100) == steps


def test_a_batch_larger_than_the_data_is_refused(tiny: ModuleType) -> None:
    with pytest.raises(InvalidTask, match=r"Batch size 101 is larger than the training data .* has 100 examples"):
        tiny.regression().total_steps(101, 100)


def test_an_optimizer_has_a_name(tiny: ModuleType) -> None:
    assert tiny.regression().optimizer_name == "sgd"
    assert tiny.dataset().optimizer_name == "optimizer"
