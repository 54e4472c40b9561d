"""Where a command's result goes beside the terminal: a picture, a page, a table or JSON, by the file's suffix."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from lrscope.cli.output import to_plain
from lrscope.errors import InvalidInput

if TYPE_CHECKING:
    from lrscope.report.theme import TopLevelChart

SUFFIXES = (".png", ".svg", ".html", ".csv", ".json")


def check_suffix(path: Path | None) -> None:
    """Refuse a file that cannot be written, before any work is done."""
    if path is not None and path.suffix.lower() not in SUFFIXES:
        raise InvalidInput(f"Cannot write '{path}': the name given to --out must end in {', '.join(SUFFIXES)}.")
    if path is not None and not path.resolve().parent.is_dir():
        raise InvalidInput(f"Cannot write '{path}': there is no folder '{path.parent}'.")


def export(
    path: Path,
    *,
    title: str,
    chart: Callable[[], TopLevelChart],
    columns: Sequence[tuple[str, ArrayLike]],
    document: dict[str, Any],
    subtitle: str = "",
    table: tuple[Sequence[str], Sequence[Sequence[str]]] | None = None,
    remarks: Sequence[str] = (),
) -> None:
    """Write one result to `path` in the form that its suffix names.

    Arguments:
        chart: makes the picture; only called where one is wanted. columns: the table, names and values of one length.
        document: what --json prints.
        subtitle, table (heads and rows), remarks: what a page shows besides the picture.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".csv":
            path.write_text(_csv(columns), encoding="utf-8")
        elif suffix == ".json":
            path.write_text(json.dumps(to_plain(document), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        elif suffix == ".html":
            from lrscope.report.page import Page

            page = Page(title, subtitle=subtitle)
            section = page.section("").chart(chart())
            if table is not None:
                section.table(*table)
            section.bullets(remarks)
            page.write(path)
        else:
            from lrscope.report.save import save_chart

            save_chart(chart(), path)
    except OSError as error:
        raise InvalidInput(f"Cannot write '{path}': {error.strerror}.") from error


def _csv(columns: Sequence[tuple[str, ArrayLike]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([name for name, _ in columns])
    writer.writerows(zip(*(np.asarray(column).tolist() for _, column in columns), strict=True))
    return text.getvalue()
