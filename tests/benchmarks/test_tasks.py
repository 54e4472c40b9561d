"""The benchmarks' tasks are what their tables say, and can be named by path like a user's."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from lrscope.study.load import load_file_task

ROOT = Path(__file__).parents[2]
TABLES = sorted((ROOT / "benchmarks" / "truth").glob("*.csv"))


@pytest.fixture
def tasks(monkeypatch):
    pytest.importorskip("sklearn", reason="the benchmarks' tasks need scikit-learn's data")
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.tasks import TASKS

    return TASKS


def test_every_task_has_a_table(tasks):
    assert set(tasks) == {path.stem for path in TABLES}


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_table_is_of_its_task(tasks, path):
    task = load_file_task(tasks[path.stem].reference)
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert task.name == path.stem
    assert task.batch_sizes == tuple(sorted({int(row["batch_size"]) for row in rows}))
    assert all((row["val_loss"] == "") == (task.validation is None) for row in rows)
    low, high = tasks[path.stem].lr
    rates = [float(row["lr"]) for row in rows]
    assert min(rates) < 1.42 * low  # half octaves
    assert max(rates) > high / 1.42
