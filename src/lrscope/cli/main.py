"""The `lrscope` command: one file per sub-command, and one place where errors become sentences and exit codes."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import sys
import traceback
from typing import Annotated, NoReturn

import typer

from lrscope import __version__
from lrscope.cli.diagnose import diagnose
from lrscope.cli.find import find
from lrscope.cli.forecast import forecast
from lrscope.cli.noise import noise
from lrscope.cli.output import end_interrupted, stderr, stdout
from lrscope.cli.refine import refine
from lrscope.cli.report import report
from lrscope.cli.scale import scale
from lrscope.cli.schedule import schedule
from lrscope.cli.study import study
from lrscope.cli.tasks import tasks
from lrscope.cli.transfer import transfer
from lrscope.cli.watch import watch
from lrscope.errors import LrscopeError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

app.command("study")(study)
app.command("find")(find)
app.command("tasks")(tasks)
app.command("report")(report)
app.command("diagnose")(diagnose)
app.command("watch")(watch)
app.command("scale")(scale)
app.command("noise")(noise)
app.command("schedule")(schedule)
app.command("transfer")(transfer)
app.command("refine")(refine)
app.command("forecast")(forecast)


def _show_version(wanted: bool) -> None:
    if wanted:
        stdout.print(f"lrscope {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The instrument for the learning rate: measure it, schedule it, diagnose it, scale it."""


INTERRUPTED = 130
"""What typer makes of a KeyboardInterrupt in a command that does not catch it."""

USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""What typer raises for a wrong option or argument; typer names it only by its kinds."""


def main() -> None:
    """Run the command line. Exit 0 done, 1 the work failed, 2 bad input or usage, 3 where --fail-on asked for it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: workers are let go
    for stream in (sys.stdout, sys.stderr):  # a terminal of few characters shows question marks for the others
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        code = app(sys.argv[1:] or ["--help"], prog_name="lrscope", standalone_mode=False)
        sys.stdout.flush()
        if code == INTERRUPTED:
            end_interrupted()
    except LrscopeError as error:
        _end(f"Error: {error}", error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        end_interrupted()
    except BrokenPipeError:  # whoever read the output has gone, as `| head` does
        _drop_stdout()
        sys.exit(1)
    except USAGE_ERROR as error:
        _end(f"Error: {_what_was_wrong(error, sys.argv[1:])} See `{error.ctx.command_path} --help`.", 2)  # type: ignore[attr-defined]
    except Exception as error:
        _end(f"Error: {_what_failed(error)}", 1)
    sys.exit(code if isinstance(code, int) else 0)


def _drop_stdout() -> None:
    """Forget what is still to be written on standard output: it cannot be, and Python would try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _what_failed(error: Exception) -> str:
    """A full disk or memory, or else a fault of lrscope's own: still one sentence, with the place."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        _drop_stdout()
        return f"{error.filename or 'The output'} cannot be written: {error.strerror}."
    if isinstance(error, MemoryError) or re.search("out of memory|allocate memory", str(error)):  # as PyTorch says it
        return f"There is not enough memory: {error}"
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({place.filename}:{place.lineno}). This is a fault of lrscope."


def _what_was_wrong(error: Exception, arguments: list[str]) -> str:
    """A wrong option or argument as a sentence: of a number that is none, with what was given."""
    says = str(error.format_message())  # type: ignore[attr-defined]
    words = [word for argument in arguments for word in argument.split("=", 1)]
    option = next((name for name in getattr(getattr(error, "param", None), "opts", ()) if name in words), None)
    kind = re.search(r"Input should be a valid (integer|number)", says)
    if option is not None and kind is not None:
        got = (*words, "")[words.index(option) + 1]
        says = f"{option} must be {'a whole number' if kind[1] == 'integer' else 'a number'}. Got '{got}'"
    return says if says.endswith("?") else f"{says.rstrip('.')}."


def _end(sentence: str, code: int) -> NoReturn:
    """Say it on standard error, in one line, and exit."""
    stderr.print(" ".join(sentence.split()), style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
