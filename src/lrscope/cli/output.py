"""What every command shares: JSON on standard output, everything else on standard error."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, NoReturn

import numpy as np
from rich.console import Console

stderr = Console(stderr=True)
stdout = Console()


def to_plain(value: Any) -> Any:
    """The value as JSON takes it: NumPy numbers unwrapped, numbers that are not finite null."""
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [to_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def print_json(document: dict[str, Any]) -> None:
    """Print one JSON document on standard output."""
    sys.stdout.write(json.dumps(to_plain(document), indent=1, allow_nan=False) + "\n")


def end_interrupted(says: str = "Stopped.") -> NoReturn:
    """Say that Ctrl-C was heard, and leave with exit code 1.

    At once: once Python shuts down, another Ctrl-C would end it by signal, as it ends itself where the first one fell
    into an import that runs generated code.
    """
    stderr.print(says, markup=False, highlight=False, soft_wrap=True)
    sys.stdout.flush()
    os._exit(1)


@contextmanager
def only_ours_on_stdout() -> Iterator[None]:
    """Send what a user's own code prints to standard error, so that standard output holds the answer alone."""
    with redirect_stdout(sys.stderr):
        yield
