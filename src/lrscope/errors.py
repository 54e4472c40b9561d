"""What can go wrong, as one tree. Expected outcomes (diverged, optimum at the edge) are values, not exceptions.

LrscopeError                 base of all; its message is one clear sentence for the user
├── InvalidInput             a value, file or option that cannot be used               (exit 2)
│   ├── InvalidTask          a task that cannot be loaded, or does not do what a task must
│   ├── StudyMismatch        a stored study that was made from something else
│   └── MissingExtra         an optional dependency that is not installed
└── WorkFailed               the work itself could not be done                         (exit 1)
"""

from __future__ import annotations


class LrscopeError(Exception):
    """Base of all of lrscope's exceptions; `exit_code` is what the command line ends with."""

    exit_code = 1


class InvalidInput(LrscopeError, ValueError):
    """A value, file or option that cannot be used; the message names it, its place and what is accepted."""

    exit_code = 2


class InvalidTask(InvalidInput):
    """A task that cannot be loaded, or that does not do what a task must."""


class StudyMismatch(InvalidInput):
    """A stored study that was made from another task, data, option or training version."""


class MissingExtra(InvalidInput, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(f"This needs {package}, which is not installed: pip install 'lrscope[{extra}]'.")

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:
        return type(self), (self.package, self.extra)


class WorkFailed(LrscopeError):
    """The work itself could not be done, though the input was fine."""
