"""From a reference (`digits`, `path/to/file.py:function`) or a Task in memory to a task, here or in a worker."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from lrscope.errors import InvalidTask, LrscopeError, MissingExtra
from lrscope.study.task import Task


@dataclass(frozen=True, kw_only=True)
class TaskSource:
    """How a task travels to a worker process: a reference `file:function`, or the task itself by cloudpickle."""

    reference: str | None = None
    pickled: bytes | None = None

    @staticmethod
    def of(task: Task | str) -> TaskSource:
        """The source of a task: a reference stays one, a Task in memory is pickled."""
        if isinstance(task, str):
            return TaskSource(reference=task)
        try:
            import cloudpickle
        except ImportError:
            raise MissingExtra("cloudpickle", "study") from None
        return TaskSource(pickled=cloudpickle.dumps(task))

    def load(self) -> Task:
        """The task; files are imported once a process."""
        if self.reference is not None:
            return load_file_task(self.reference)
        import cloudpickle

        task = cloudpickle.loads(self.pickled)
        assert isinstance(task, Task)  # `of` pickled it
        return task


def resolve_reference(reference: str, bundled: Mapping[str, str]) -> str:
    """A bundled name as its `file:function`; a path is made absolute.

    Raises:
        InvalidTask: neither a bundled name nor `path/to/file.py:function`.
    """
    if reference in bundled:
        return bundled[reference]
    path, colon, function = reference.rpartition(":")
    if not colon or not path.endswith(".py"):
        names = ", ".join(sorted(bundled))
        raise InvalidTask(f"There is no task '{reference}': give one of {names}, or path/to/file.py:function.")
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise InvalidTask(f"There is no file '{path}', named by the task '{reference}'.")
    return f"{file}:{function}"


def load_file_task(reference: str) -> Task:
    """Import the file, call the function, and hand back its Task.

    Raises:
        InvalidTask: with the user's own error, its type, message and file:line.
    """
    path, _, name = reference.rpartition(":")
    module = _import_file(Path(path))
    function = getattr(module, name, None)
    if not callable(function):
        raise InvalidTask(f"There is no function '{name}' in '{path}'.")
    try:
        task = function()
    except LrscopeError:
        raise
    except ImportError as error:
        raise _missing_or_wrong(error, reference) from None
    except Exception as error:
        raise InvalidTask(f"The function '{name}' failed: {describe_user_error(error)}") from None
    if not isinstance(task, Task):
        raise InvalidTask(f"The function '{name}' of '{path}' must return an lrscope.Task. Got {type(task).__name__}.")
    return task


def describe_user_error(error: BaseException) -> str:
    """Type, message and file:line of an error in a user's code: the innermost frame that is not a library's."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = str(Path(__file__).parent)
    theirs = [
        frame
        for frame in frames
        if not frame.filename.startswith((ours, "<frozen")) and "site-packages" not in frame.filename
    ]
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{error.filename}:{error.lineno}"
    else:
        frame = (theirs or list(frames))[-1]
        place = f"{frame.filename}:{frame.lineno}"
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message} ({place})"


def _missing_or_wrong(error: ImportError, reference: str) -> InvalidTask:
    if (error.name or "").split(".")[0] == "torch":
        return InvalidTask(str(MissingExtra("torch", "study")))
    return InvalidTask(f"The task '{reference}' failed: {describe_user_error(error)}")


def _import_file(path: Path) -> ModuleType:
    name = f"lrscope_task_{path.stem}_{hashlib.sha1(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # a .py file always has a spec and a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))  # so that a user's neighbouring modules import
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        del sys.modules[name]
        raise _missing_or_wrong(error, str(path)) from None
    except Exception as error:
        del sys.modules[name]
        raise InvalidTask(f"The file '{path}' does not import: {describe_user_error(error)}") from None
    finally:
        sys.path.remove(str(path.parent))
    return module


def run_user_code(what: str, function: Any, *arguments: Any) -> Any:
    """Call a user's function; its error becomes an InvalidTask that shows it."""
    try:
        return function(*arguments)
    except LrscopeError:
        raise
    except Exception as error:
        raise InvalidTask(f"{what} failed: {describe_user_error(error)}") from None
