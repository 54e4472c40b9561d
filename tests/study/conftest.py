"""What the study's tests share: tiny tasks by name, and studies of them in this process."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lrscope.study.bench import Bench
from lrscope.study.result import StudyResult
from lrscope.study.run import run_study
from lrscope.study.task import Task
from lrscope.study.trial import Trial

FILES = Path(__file__).with_name("files")
MAIN = "warmup(5%) -> cosine"


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"study_files_{name}", FILES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """The module of tiny tasks."""
    return _load("tiny")


@pytest.fixture(scope="session")
def reference() -> Callable[[str], str]:
    """Name -> `tiny.py:name`, as a command or a worker takes it."""
    return lambda name: f"{FILES / 'tiny.py'}:{name}"


@pytest.fixture(scope="session")
def bench(tiny: ModuleType) -> Callable[[str], Bench]:
    """Name -> a bench of that tiny task."""
    return lambda name: Bench(getattr(tiny, name)())


@pytest.fixture(scope="session")
def trial() -> Callable[..., Trial]:
    """A trial of a tiny task; every part of its key can be given."""

    def make(**changes: Any) -> Trial:
        key = {"batch_size": 8, "peak_lr": 0.05, "schedule": MAIN, "seed": 0, "total_steps": 48, "stop_at": 48}
        return Trial(**(key | changes))

    return make


@pytest.fixture(scope="session")
def study_here() -> Callable[..., StudyResult]:
    """A study in this process, without workers."""

    def study(task: Task | str, **options: Any) -> StudyResult:
        return run_study(task, **({"executor": "serial", "engine": "loop", "seeds": 2} | options))

    return study
