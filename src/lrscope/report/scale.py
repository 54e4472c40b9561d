"""The page of `lrscope scale`: anybody's sweep, its optima, the laws across batch sizes, and the rate nobody ran."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lrscope.numbers import format_number
from lrscope.report.extract.sweep import SweepGroup, sweep_groups
from lrscope.report.page import Page
from lrscope.report.sections.sweep import add_groups, add_overview, add_steps, add_table
from lrscope.report.sections.words import listed
from lrscope.scaling.table import Scaling


def scale_page(scaling: Scaling, *, name: str, notes: Sequence[str] = ()) -> Page:
    """The page of a table of runs, or of steps to a target.

    Arguments:
        name: what the table is called. notes: what was done to read it.
    """
    groups = sweep_groups(scaling)
    page = Page(f"The learning rates of {name}", subtitle=_subtitle(groups))
    if any(group.optima for group in groups):
        add_overview(page, scaling, groups)
        add_groups(page, scaling, groups)
        add_table(page, scaling, groups)
    else:
        page.title = f"Steps and examples in {name}"
        add_steps(page, groups)
    if notes:
        page.section("How the table was read", collapsed=True).bullets(list(notes))
    return page


def write_scale_report(scaling: Scaling, path: str | os.PathLike[str], *, name: str, notes: Sequence[str] = ()) -> Path:
    """Write the page to `path`: one file that opens offline.

    Raises:
        InvalidInput: the place cannot be written to.
        MissingExtra: altair or vl-convert-python is not installed.
    """
    return scale_page(scaling, name=name, notes=notes).write(path)


def _subtitle(groups: Sequence[SweepGroup]) -> str:
    runs = sum(curve.runs for group in groups for curve in group.source.curves)
    sizes = sorted({curve.batch_size for group in groups for curve in group.source.curves if curve.batch_size})
    if not runs:
        return f"{len(groups)} groups." if len(groups) > 1 else ""
    shown = [f"{size:g}" for size in sizes]
    batches = f" at batch size{'s' if len(sizes) > 1 else ''} {listed(shown)}" if sizes else ""
    if len(sizes) > 8:
        batches = f" at {len(sizes)} batch sizes from {shown[0]} to {shown[-1]}"
    split = f" in {len(groups)} groups" if len(groups) > 1 else ""
    return f"{format_number(runs)} runs{split}{batches}."
