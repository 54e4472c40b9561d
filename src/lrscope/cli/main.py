"""The `lrscope` command: one file per sub-command, and one place where errors become sentences and exit codes."""

from __future__ import annotations

import sys
import traceback

import typer

from lrscope.cli.diagnose import diagnose
from lrscope.cli.forecast import forecast
from lrscope.cli.output import stderr
from lrscope.cli.refine import refine
from lrscope.cli.report import report
from lrscope.cli.schedule import schedule
from lrscope.cli.study import study
from lrscope.cli.tasks import tasks
from lrscope.cli.transfer import transfer
from lrscope.cli.watch import watch
from lrscope.errors import LrscopeError

app = typer.Typer(
    help="The instrument for the learning rate: measure it, schedule it, diagnose it, scale it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command("report")(report)
app.command("study")(study)
app.command("tasks")(tasks)
app.command("schedule")(schedule)
app.command("refine")(refine)
app.command("transfer")(transfer)
app.command("forecast")(forecast)
app.command("diagnose")(diagnose)
app.command("watch")(watch)


def main() -> None:
    """Run the command line. Exit 0 done, 1 the work failed, 2 bad input or usage, 3 where --fail-on asked for it."""
    try:
        app(prog_name="lrscope")
    except LrscopeError as error:
        stderr.print(f"Error: {error}", style="red", markup=False, highlight=False)
        sys.exit(error.exit_code)
    except Exception as error:  # a fault of lrscope's own: still one sentence, with the place
        place = traceback.extract_tb(error.__traceback__)[-1]
        sentence = (
            f"Error: {type(error).__name__}: {error} ({place.filename}:{place.lineno}). This is a fault of lrscope."
        )
        stderr.print(sentence, style="red", markup=False, highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
