"""Which files under a folder belong together: one run's event files, MLflow's folders, W&B's and Ray's doubles."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lrscope.curves.readers import names
from lrscope.curves.readers.record import Reader

_SKIPPED_FOLDERS = {".git", "__pycache__", ".venv", "node_modules", ".ipynb_checkpoints"}


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Files that make one log, and the path that names it."""

    paths: tuple[Path, ...]
    named_by: Path


def units(root: Path, readers: Sequence[Reader]) -> list[Unit]:
    """The logs under a folder, in the order of their paths; what says the same twice is taken once."""
    found = list(_walk(root, readers))
    return _validation_joined([unit for unit in found if not _is_double(unit, found)])


def _walk(root: Path, readers: Sequence[Reader]) -> Iterator[Unit]:
    joining = [reader for reader in readers if reader.joins_siblings]
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        if any(reader.claims_folder(here) for reader in readers):
            folders.clear()
            yield Unit(paths=(here,), named_by=here)
            continue
        folders[:] = sorted(name for name in folders if name not in _SKIPPED_FOLDERS)
        paths = [here / name for name in sorted(files)]
        for reader in joining:
            joined = [path for path in paths if reader.matches(path, b"")]
            if joined:
                paths = [path for path in paths if path not in joined]
                yield Unit(paths=tuple(joined), named_by=here)
        yield from (Unit(paths=(path,), named_by=path) for path in paths)


def _is_double(unit: Unit, found: Sequence[Unit]) -> bool:
    """Whether another file says the same and more: Ray writes CSV beside JSON, W&B a summary beside its log, and
    Transformers the whole history into every checkpoint."""
    path = unit.named_by
    others = {other.named_by for other in found}
    if path.name == "progress.csv":
        return path.with_name("result.json") in others
    if path.name in ("wandb-summary.json", "wandb-history.jsonl"):
        return any(other.suffix == ".wandb" and other.parent == path.parent.parent for other in others)
    if path.name == "trainer_state.json" and (step := _checkpoint(path)) is not None:
        run = path.parent.parent
        later = [other for other in others if other.name == path.name and other.parent.parent == run]
        return run / path.name in others or any((_checkpoint(other) or 0) > step for other in later)
    return False


def _checkpoint(path: Path) -> int | None:
    match = re.fullmatch(r"checkpoint-(\d+)", path.parent.name)
    return int(match.group(1)) if match else None


def _validation_joined(kept: list[Unit]) -> list[Unit]:
    """A folder of validation events beside one of training events (`train`, `validation`) is part of that run."""
    folders = {unit.named_by: unit for unit in kept if unit.named_by.is_dir() and unit.paths[0] != unit.named_by}
    joined: dict[Path, Unit] = {}
    gone: set[Path] = set()
    for path, unit in folders.items():
        if not names.is_training_word(path.name):
            continue
        for other, validation in folders.items():
            if other.parent == path.parent and names.is_validation_word(other.name) and _core(other) == _core(path):
                joined[path] = Unit(paths=unit.paths + validation.paths, named_by=path)
                gone.add(other)
                break
    return [joined.get(unit.named_by, unit) for unit in kept if unit.named_by not in gone]


def _core(path: Path) -> str:
    """A folder's name without the word that says which data it is of."""
    words = names.normalized(path.name).split("_")
    return "_".join(w for w in words if not (names.is_training_word(w) or names.is_validation_word(w)))
