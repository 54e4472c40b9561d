"""What a study was made from: any change that could change a trial shows, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lrscope.study.bench import Bench
from lrscope.study.fingerprint import fingerprint
from lrscope.study.load import TaskSource

FILE = """\
import torch
from torch import nn
import torch.nn.functional as F
import lrscope
from layers import width

def task():
    inputs = torch.arange(32.0).reshape(16, 2)
    return lrscope.Task(
        name="t", model=lambda: nn.Linear(width, 1), loss=F.mse_loss, train=(inputs, inputs[:, :1]), steps=3,
    )
"""
COUNT = iter(range(10**6))


def of_file(folder: Path, text: str, neighbour: str = "width = 2\n") -> dict[str, Any]:
    """The fingerprint of a task file, in a folder of its own so that nothing is remembered from another."""
    place = folder / str(next(COUNT))
    place.mkdir()
    (place / "mine.py").write_text(text)
    (place / "layers.py").write_text(neighbour)
    (place / "unused.py").write_text(f"x = {place.name}\n")
    source = TaskSource(reference=f"{place / 'mine.py'}:task")
    return fingerprint(Bench(source.load()), source)


def of_task(tiny: ModuleType, **changes: Any) -> dict[str, Any]:
    task = tiny.regression(**changes)
    return fingerprint(Bench(task), TaskSource.of(task))


def changed(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    assert one.keys() == other.keys()
    return {name for name in one if one[name] != other[name]}


def test_comments_and_layout_change_nothing(tmp_path: Path) -> None:
    other = "# a comment\n\n" + FILE.replace("steps=3,", "\n        steps=3,")
    assert changed(of_file(tmp_path, FILE), of_file(tmp_path, other, "width = 2  # a comment\n")) == set()


@pytest.mark.parametrize(
    ("old", "new", "facts"),
    [
        ("F.mse_loss", "F.l1_loss", {"task code"}),
        ("arange(32.0)", "arange(1.0, 33.0)", {"task code", "training data"}),
        ("nn.Linear(width, 1)", "nn.Linear(width, 1, bias=False)", {"task code", "initial weights"}),
        ("steps=3", "steps=3, clip_norm=1.0", {"task code", "gradient clipping"}),
        ("steps=3", "steps=3, precision='bfloat16'", {"task code", "precision"}),
    ],
)
def test_a_change_in_the_file_shows(tmp_path: Path, old: str, new: str, facts: set[str]) -> None:
    assert changed(of_file(tmp_path, FILE), of_file(tmp_path, FILE.replace(old, new))) == facts


def test_a_change_in_an_imported_neighbour_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = of_file(tmp_path, FILE)
    assert set(before["task code"]) == {"mine.py", "layers.py"}
    monkeypatch.delitem(__import__("sys").modules, "layers")
    after = of_file(tmp_path, FILE, "width = 2\nother = 1\n")
    assert changed(before, after) == {"task code"}


def scaled(scale: float) -> Callable[..., torch.Tensor]:
    return lambda outputs, targets: scale * F.mse_loss(outputs, targets)


@pytest.mark.parametrize(
    ("one", "other", "facts"),
    [
        ({}, {}, set()),
        ({"loss": scaled(1.0)}, {"loss": scaled(2.0)}, {"task code"}),
        ({"loss": lambda o, t: (o - t).abs().mean()}, {"loss": lambda o, t: (o - t).square().mean()}, {"task code"}),
        ({}, {"optimizer": "adamw"}, {"task code"}),
        ({}, {"model": lambda: nn.Linear(4, 1, bias=False)}, {"task code", "initial weights"}),
        ({}, {"validation": None}, {"validation data"}),
        ({"validation": None}, {"validation": (torch.ones(9, 4), torch.ones(9, 1))}, {"validation data"}),
    ],
)
def test_a_change_of_a_task_in_memory_shows(
    tiny: ModuleType, one: dict[str, Any], other: dict[str, Any], facts: set[str]
) -> None:
    assert changed(of_task(tiny, **one), of_task(tiny, **other)) == facts


def test_the_numbers_of_a_dataset_count_and_those_drawn_anew_do_not(tiny: ModuleType) -> None:
    class Shifted(tiny.Pairs):  # type: ignore[misc, name-defined]
        def __getitem__(self, index: int) -> Any:
            inputs, targets = super().__getitem__(index)
            return inputs + (index == 95), targets

    class Noisy(tiny.Pairs):  # type: ignore[misc, name-defined]
        generator = torch.Generator().manual_seed(0)

        def __getitem__(self, index: int) -> Any:
            inputs, targets = super().__getitem__(index)
            return inputs + torch.rand(4, generator=self.generator), targets

    base = of_task(tiny, train=tiny.Pairs())
    assert changed(base, of_task(tiny, train=tiny.Pairs())) == set()
    assert changed(base, of_task(tiny, train=Shifted())) == {"training data"}
    noisy = of_task(tiny, train=Noisy())
    assert noisy["training data"] == "96 examples, shapes [[4], [1]]"
    assert changed(noisy, of_task(tiny, train=Noisy())) == set()
