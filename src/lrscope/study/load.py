"""From a reference (`digits`, `path/to/file.py:function`) or a Task in memory to a task, here or in a worker."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
        try:
            return TaskSource(pickled=cloudpickle.dumps(task))
        except Exception as error:  # pickling runs whatever the task holds
            raise InvalidTask(
                f"Task '{task.name}' cannot be sent to worker processes ({type(error).__name__}: {error}): give a "
                "list in place of a generator, or the task as 'path/to/file.py:function'."
            ) from None

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
        if reference.endswith(".py") and Path(reference).expanduser().is_file():
            raise InvalidTask(f"Name the function of '{reference}' that makes the task, too, like '{reference}:task'.")
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
    from lrscope.study.seeding import DATA, isolated_rng, stream_seed

    path, _, name = reference.rpartition(":")
    if not Path(path).is_file():
        raise InvalidTask(f"There is no file '{path}', named by the task '{reference}'.")
    # A task that draws its data is the same in every process, though it sets no seed.
    with isolated_rng(stream_seed(0, DATA)), _importable(Path(path).parent):
        module = _import_file(Path(path))
        function = getattr(module, name, None)
        if not callable(function):
            raise InvalidTask(f"There is no function '{name}' in '{path}'.")
        task = run_user_code(f"The function '{name}'", function)
    if not isinstance(task, Task):
        raise InvalidTask(f"The function '{name}' of '{path}' must return an lrscope.Task. Got {type(task).__name__}.")
    return task


def run_user_code(what: str, function: Any, *arguments: Any) -> Any:
    """Call a user's function; its error becomes an InvalidTask that shows it."""
    try:
        return function(*arguments)
    except LrscopeError:
        raise
    except (Exception, SystemExit) as error:
        if _is_missing_torch(error):
            raise MissingExtra("torch", "study") from None
        raise InvalidTask(f"{what} failed: {describe_user_error(error, function)}") from None


def describe_user_error(error: BaseException, function: Any = None) -> str:
    """Type, message and file:line of an error in a user's code: the innermost frame that is not a library's.

    Where no frame is the user's, as for a call with wrong arguments, the place is that of `function`.
    """
    every = list(traceback.extract_tb(error.__traceback__))
    frames = [frame for frame in every if not _is_ours(frame.filename)] or every
    theirs = [frame for frame in frames if not (_is_library(frame.filename) or _is_ours(frame.filename))]
    code = getattr(function, "__code__", None)
    place = ""
    if isinstance(error, SyntaxError) and error.filename:
        place = f" ({error.filename}:{error.lineno})"
    elif theirs:
        place = f" ({theirs[-1].filename}:{theirs[-1].lineno})"
    elif code is not None and not _is_ours(code.co_filename):
        place = f" ({code.co_filename}:{code.co_firstlineno})"
    elif frames:
        place = f" ({frames[-1].filename}:{frames[-1].lineno})"
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}{place}" if message else f"{type(error).__name__}{place}"


def _is_ours(file: str) -> bool:
    return file.startswith(_STUDY_FOLDER)


def _is_library(file: str) -> bool:
    return file.startswith(("<frozen", *_LIBRARY_FOLDERS)) or "site-packages" in file or "dist-packages" in file


_STUDY_FOLDER = str(Path(__file__).parent)
_LIBRARY_FOLDERS = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))


def _is_missing_torch(error: BaseException) -> bool:
    return isinstance(error, ImportError) and (error.name or "").split(".")[0] == "torch"


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let a task's file import its neighbours: before all else while it is read, behind all else later."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        if str(folder) not in sys.path:
            sys.path.append(str(folder))


def _import_file(path: Path) -> ModuleType:
    name = f"lrscope_task_{path.stem}_{hashlib.sha1(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # a .py file always has a spec and a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        run_user_code(f"The import of '{path}'", spec.loader.exec_module, module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
