"""The fake studies that the report's tests share: made once."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from lrscope.study.result import StudyResult

HOSTILE = 'digits <script>alert("x")</script> & co'


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fake_study", Path(__file__).with_name("fake_study.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fake_study"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def fake() -> ModuleType:
    """The module that makes fake studies."""
    return _load()


@pytest.fixture(scope="session")
def study(fake: ModuleType) -> StudyResult:
    """Three batch sizes, one schedule, two seeds, and a name that must be escaped."""
    result: StudyResult = fake.fake_study(name=HOSTILE)
    return result


@pytest.fixture(scope="session")
def schedules_study(fake: ModuleType) -> StudyResult:
    """Two batch sizes, three schedules."""
    result: StudyResult = fake.fake_study(batch_sizes=(16, 64), schedules=(fake.MAIN, "cosine", "constant"), seeds=1)
    return result
