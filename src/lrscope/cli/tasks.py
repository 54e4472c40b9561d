"""`lrscope tasks`: what can be studied by name."""

from __future__ import annotations

from rich.table import Table

from lrscope.cli.output import stdout
from lrscope.tasks import BUNDLED


def tasks() -> None:
    """List the bundled tasks."""
    table = Table("task", "what it is", box=None)
    for name, task in BUNDLED.items():
        table.add_row(name, task.description)
    stdout.print(table)
