"""Plain text: lines of names and numbers as scripts print them, `epoch 3 step 120 loss 0.53` or `iter 7: loss=2.1`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lrscope.curves.readers import names
from lrscope.curves.readers.column import without_thousands
from lrscope.curves.readers.csv import decoded
from lrscope.curves.readers.jsonl import table_from_rows
from lrscope.curves.readers.record import NotThisFormat, Reader, Record
from lrscope.curves.readers.table import records_from_table

FEWEST_LINES = 3
"""Lines with a loss, one of them with a fraction, that a text must have: prose has numbers, too."""

_PAIR = re.compile(
    r"""(?<![\w@./-])(?P<name>[a-z_][\w@./-]*+(?:[ ][a-z_][\w@./-]*+){0,2})      # one to three words,
    ['"]?\s*+[:=]?\s*+[\[(]?\s*+                                                # what may stand between, and a number
    (?P<value>[+-]?(?:nan|inf(?:inity)?|[1-9]\d{0,2}(?:,\d{3})++|\d++(?:\.\d*+)?+(?:e[+-]?\d++)?+)\b)
    (?![%kmg]\b)                                                                # that is no share and no 1.2k""",
    re.IGNORECASE | re.VERBOSE,
)
_COLOUR = re.compile(r"\x1b\[[\d;]*m")


def pairs(line: str) -> dict[str, str]:
    """The names and numbers of a line; of a name that comes twice the first. Losses are of validation if the line is.

    >>> pairs("Epoch 3/10 step 1,200: train loss 0.53, lr=1e-3, 12.5 it/s")
    {'Epoch': '3', 'step': '1200', 'train loss': '0.53', 'lr': '1e-3'}
    >>> pairs("[valid] epoch 3 loss: nan (0.61)")
    {'epoch': '3', 'val loss': 'nan'}
    """
    found: dict[str, str] = {}
    line = _COLOUR.sub("", line)
    for match in _PAIR.finditer(line):
        name = match["name"]
        last_word = name.rpartition(" ")[2]
        if name.count(" ") == 1 and names.step_rank(last_word) is not None:  # `at step 3`, `INFO step 3`
            name = last_word
        found.setdefault(name, without_thousands(match["value"]))
    first = _PAIR.search(line)
    heading = line[: first.start()] if first else ""
    if names.is_validation_word(heading) and not names.is_training_word(heading):
        found = {f"val {name}" if names.loss_rank(name) is not None else name: value for name, value in found.items()}
    return found


def read_plain_text(paths: Sequence[Path]) -> list[Record]:
    """The run that a text's lines tell of: those that name a loss, and what else they name."""
    text = decoded(paths[0].read_bytes())
    lines, notes = text.splitlines(), []
    if text[-1:].isdigit():
        lines.pop()
        notes.append("the last line has no end and is left out: its number may be cut off")
    rows = [row for line in lines if any(map(_is_loss, row := pairs(line)))]
    fractions = any("." in value for row in rows for name, value in row.items() if _is_loss(name))
    if len(rows) < FEWEST_LINES or not fractions:
        raise NotThisFormat("no lines such as 'step 120 loss 0.53'")
    return records_from_table(table_from_rows(_with_one_step(rows)), notes)


def _is_loss(name: str) -> bool:
    return names.loss_rank(name) is not None or names.val_loss_rank(name) is not None


def _with_one_step(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """The rows with their steps called alike, where training and validation call them otherwise (`iter 5`, `step 5`).

    Epochs of several lines each are no steps, and are left out where there are no others.
    """
    steps = {name for row in rows for name in row if names.step_rank(name) is not None}
    epochs = {name for name in steps if "epoch" in names.normalized(name)}
    if steps == epochs:
        losses = [(row.get(step), name) for row in rows for step in steps for name in row if _is_loss(name)]
        coarse = len(set(losses)) < len(losses)
        return [{n: v for n, v in row.items() if not (coarse and n in steps)} for row in rows]
    counts = steps - epochs
    if any(len(counts & row.keys()) > 1 for row in rows):
        return list(rows)
    return [{"step" if name in counts else name: value for name, value in row.items()} for row in rows]


READER = Reader(
    name="plain text",
    accepts="text lines such as 'step 120 loss 0.53'",
    matches=lambda path, head: path.suffix.lower() in (".log", ".txt", ".out", ".err"),
    read=read_plain_text,
)
