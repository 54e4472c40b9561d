"""lrscope: the instrument for the learning rate. Importing it loads NumPy only; the rest is loaded on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrscope.curves.curve import Curve as Curve
    from lrscope.curves.readers import read_curves as read_curves
    from lrscope.diagnosis.compare import compare as compare
    from lrscope.diagnosis.diagnose import Diagnosis as Diagnosis
    from lrscope.diagnosis.diagnose import diagnose as diagnose
    from lrscope.errors import LrscopeError as LrscopeError
    from lrscope.estimate import Estimate as Estimate
    from lrscope.scaling.batch_law import fit_batch_law as fit_batch_law
    from lrscope.scaling.rules import scale_learning_rate as scale_learning_rate
    from lrscope.scaling.u_curve import fit_u_curve as fit_u_curve
    from lrscope.schedules.schedule import Schedule as Schedule
    from lrscope.schedules.text import parse_schedule as parse_schedule
    from lrscope.study.find import find_lr as find_lr
    from lrscope.study.noise import measure_noise as measure_noise
    from lrscope.study.result import StudyResult as StudyResult
    from lrscope.study.run import run_study as run_study
    from lrscope.study.task import Task as Task

_HOMES = {
    "Curve": "lrscope.curves.curve",
    "Diagnosis": "lrscope.diagnosis.diagnose",
    "Estimate": "lrscope.estimate",
    "LrscopeError": "lrscope.errors",
    "Schedule": "lrscope.schedules.schedule",
    "StudyResult": "lrscope.study.result",
    "Task": "lrscope.study.task",
    "compare": "lrscope.diagnosis.compare",
    "diagnose": "lrscope.diagnosis.diagnose",
    "find_lr": "lrscope.study.find",
    "fit_batch_law": "lrscope.scaling.batch_law",
    "fit_u_curve": "lrscope.scaling.u_curve",
    "measure_noise": "lrscope.study.noise",
    "parse_schedule": "lrscope.schedules.text",
    "read_curves": "lrscope.curves.readers",
    "run_study": "lrscope.study.run",
    "scale_learning_rate": "lrscope.scaling.rules",
}

__all__ = sorted(_HOMES)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lrscope' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
