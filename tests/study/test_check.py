"""A task that cannot train says so before a study begins, in one sentence."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lrscope.errors import InvalidTask
from lrscope.study.bench import Bench
from lrscope.study.check import check_task

NAMES = (
    "regression", "without_validation", "batch_norm", "dataset", "loader", "unseeded", "dicts", "bfloat16", "negative",
    "near_zero", "nan_later",
)  # fmt: skip
SHARED = nn.Linear(4, 1)


@pytest.mark.parametrize("name", NAMES)
def test_tasks_that_train_pass(tiny: ModuleType, name: str) -> None:
    check_task(Bench(getattr(tiny, name)()), 16)


def _raises(*_: object) -> Any:
    raise ValueError("my own words")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"loss": lambda outputs, targets: outputs.square()}, r"a scalar tensor. Got a tensor of shape \(8, 1\)"),
        ({"loss": lambda outputs, targets: 3.0}, "must be a scalar tensor. Got float"),
        ({"loss": lambda outputs, targets: outputs.mean() + 0j}, "must be a real number. Got torch.complex64"),
        ({"loss": lambda outputs, targets: targets.mean()}, "must depend on the model's parameters"),
        ({"loss": lambda outputs, targets: outputs.mean() / 0}, "must be finite before the first update. Got -?inf"),
        ({"model": lambda: SHARED}, "must make a new model at each call"),
        ({"model": lambda: nn.Linear(3, 1)}, "The task's loss failed: RuntimeError: mat1 and mat2 shapes"),
        ({"loss": _raises}, r"The task's loss failed: ValueError: my own words \(.*test_check.py:\d+\)"),
        ({"model": _raises}, r"The task's 'model' failed: ValueError: my own words \(.*test_check.py:\d+\)"),
        ({"optimizer": _raises}, r"The task's 'optimizer' failed: ValueError: my own words \(.*test_check.py:\d+\)"),
        ({"metrics": {"m": _raises}}, r"The metric 'm' failed: ValueError: my own words \(.*test_check.py:\d+\)"),
        ({"metrics": {"m": lambda outputs, _: outputs}}, r"The metric 'm' must be a scalar. Got shape \(2, 1\)"),
        (
            {"optimizer": lambda parameters, lr: torch.optim.SGD(parameters, lr=0.1)},
            r"must use the learning rate that it is given. .* have \[0.1\] both times",
        ),
        (
            {"optimizer": lambda parameters, lr: torch.optim.LBFGS(parameters, lr=lr)},
            "The update of the task's optimizer failed: TypeError",
        ),
        ({"train": torch.ones(96, 4)}, r"With 'loss', a batch of task .* must be \(inputs, targets\). Got Tensor"),
        ({"validation": torch.ones(96, 4)}, r"a batch of task 'regression' must be \(inputs, targets\). Got Tensor"),
        (
            {"validation": (torch.ones(8, 3), torch.ones(8, 1))},
            "The task's loss on the validation data failed: RuntimeError: mat1 and mat2 shapes",
        ),
        (
            {"loss": None, "batch_loss": lambda model, batch: F.mse_loss(model(batch["x"]), batch["y"])},
            "The task's loss failed: (TypeError|IndexError)",
        ),
    ],
)  # fmt: skip
def test_tasks_that_cannot_train_say_why(tiny: ModuleType, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidTask, match=sentence) as caught:
        check_task(Bench(tiny.regression(**changes)), 8)
    assert "\n" not in str(caught.value)


def test_a_batch_larger_than_the_data_is_refused(tiny: ModuleType) -> None:
    with pytest.raises(InvalidTask, match="Batch size 97 is larger than the training data"):
        check_task(Bench(tiny.regression()), 97)


def test_batch_norm_on_a_batch_of_one_is_refused(tiny: ModuleType) -> None:
    with pytest.raises(InvalidTask, match="The task's loss failed: ValueError: Expected more than 1 value per channel"):
        check_task(Bench(tiny.batch_norm()), 1)
