"""From a path to curves: which reader, which files, which names."""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from dataclasses import replace
from pathlib import Path

from lrscope.curves.curve import Curve
from lrscope.curves.readers import csv, json_document, jsonl, mlflow, optuna, plain_text, study, tensorboard, wandb
from lrscope.curves.readers.assemble import assemble
from lrscope.curves.readers.record import NotThisFormat, Reader
from lrscope.curves.readers.units import Unit, units
from lrscope.errors import InvalidInput

READERS: tuple[Reader, ...] = (
    tensorboard.READER,
    wandb.READER,
    study.READER,
    mlflow.FOLDER,
    mlflow.DATABASE,
    optuna.DATABASE,
    optuna.JOURNAL,
    csv.READER,
    jsonl.READER,
    json_document.READER,
    plain_text.READER,
)
"""Every format, the more particular first: a file goes to the first reader that takes it and finds a run in it."""

MOST_UNPACKED_BYTES = 2**30
"""A packed file that becomes larger is refused before it fills the disk."""

_HEAD_BYTES = 65536
_BLOCK_BYTES = 2**20


def read_curves(path: str | os.PathLike[str]) -> list[Curve]:
    """The curves in a file or a folder of logs; the format of each file is found by its name and content.

    Arguments:
        path: a file, or a folder that is walked.

    Returns:
        the curves, sorted by path. A curve's name is its path under the folder without the suffix, followed by
        `/label` where a file holds several runs. What was left out of a record is said in its notes.

    Raises:
        InvalidInput: the path does not exist, or nothing can be made of the file, or of any file in the folder.
    """
    root = Path(path)
    if not root.exists():
        raise InvalidInput(f"There is no file or folder '{root}'.")
    if not root.is_dir():
        return _unique(_read_unit(Unit(paths=(root,), named_by=root), root.stem))
    curves: list[Curve] = []
    for unit in units(root, READERS):
        try:
            curves += _read_unit(unit, _name(unit, root))
        except InvalidInput:
            continue
    if not curves:
        raise InvalidInput(f"No training log was found in the folder '{root}'. Accepted are: {_accepted()}.")
    return _unique(curves)


def _accepted() -> str:
    return "; ".join(dict.fromkeys(reader.accepts for reader in READERS))


def _name(unit: Unit, root: Path) -> str:
    if unit.named_by == root:
        return root.resolve().name
    relative = unit.named_by.relative_to(root)
    return relative.as_posix() if unit.named_by.is_dir() else relative.with_suffix("").as_posix()


def _read_unit(unit: Unit, name: str) -> list[Curve]:
    """The curves of files that make one log, by the first reader that finds any."""
    shown = unit.named_by
    folder = unit.paths[0].is_dir()
    if unit.paths[0].suffix.lower() == ".gz" and not folder:
        return _read_packed(unit.paths[0], name)
    reasons: list[str] = []
    try:
        head = b"" if folder else _head(unit.paths[0])
        for reader in READERS:
            if not (reader.claims_folder(unit.paths[0]) if folder else reader.matches(unit.paths[0], head)):
                continue
            try:
                records = reader.read(unit.paths)
            except NotThisFormat as reason:
                reasons.append(f"as {reader.name}: {reason}")
                continue
            curves = [assemble(record, f"{name}/{record.label}" if record.label else name) for record in records]
            found = [curve for curve in curves if curve is not None]
            if found:
                return found
            reasons.append(f"as {reader.name}: no losses")
    except OSError as error:
        raise InvalidInput(f"'{shown}' cannot be read: {error.strerror}.") from None
    why = f" ({'; '.join(reasons)})" if reasons else ""
    raise InvalidInput(f"'{shown}' cannot be read as a training log{why}. Accepted are: {_accepted()}.")


def _read_packed(path: Path, name: str) -> list[Curve]:
    """The curves of a file that gzip has packed."""
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder) / path.stem
        try:
            with gzip.open(path) as packed, unpacked.open("wb") as target:
                while block := packed.read(_BLOCK_BYTES):
                    target.write(block)
                    if target.tell() > MOST_UNPACKED_BYTES:
                        raise InvalidInput(f"'{path}' unpacks to more than {MOST_UNPACKED_BYTES >> 20} MiB: no log.")
        except (EOFError, zlib.error, OSError) as error:
            raise InvalidInput(f"'{path}' cannot be unpacked: {error}.") from None
        try:
            return _read_unit(Unit(paths=(unpacked,), named_by=unpacked), name.removesuffix(unpacked.suffix))
        except InvalidInput as error:
            raise InvalidInput(str(error).replace(str(unpacked), str(path))) from None


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_HEAD_BYTES)


def _unique(curves: list[Curve]) -> list[Curve]:
    """The curves with their names told apart by a number where two are the same."""
    seen: dict[str, int] = {}
    named = []
    for curve in curves:
        seen[curve.name] = seen.get(curve.name, 0) + 1
        named.append(curve if seen[curve.name] == 1 else replace(curve, name=f"{curve.name}#{seen[curve.name]}"))
    return named
