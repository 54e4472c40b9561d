"""The command line in this process: arguments in, exit code and both outputs out."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from lrscope.cli.main import main


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Arguments -> what `lrscope` makes of them."""
    before = signal.getsignal(signal.SIGTERM)

    def run_(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["lrscope", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        written = capfd.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return Ran(code=code, out=written.out, err=written.err)

    yield run_
    signal.signal(signal.SIGTERM, before)
