"""`lrscope report`: a study's page, made again from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lrscope.cli.output import stdout
from lrscope.errors import InvalidInput

DATABASE = "study.db"


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A study's folder, as `lrscope study` left it.")],
    out: Annotated[Path | None, typer.Option(help="The page to write; default: DIR/report.html.")] = None,
) -> None:
    """Make a study's report.html again from its study.db; nothing is trained."""
    if folder.name == DATABASE and folder.is_file():
        folder = folder.parent
    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        raise InvalidInput(f"--out must name a file that ends in .html. Got '{out}'.")
    if not (folder / DATABASE).is_file():
        raise InvalidInput(f"There is no study in '{folder}': it holds no {DATABASE}. Run `lrscope study TASK` first.")
    from lrscope.report.study import write_study_report
    from lrscope.study.run import load_study

    path = write_study_report(load_study(folder), folder / "report.html" if out is None else out)
    stdout.print(f"The page: {path}", markup=False, soft_wrap=True)
