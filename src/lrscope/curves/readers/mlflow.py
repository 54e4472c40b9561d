"""MLflow: a run's folder in `mlruns` (metrics/NAME with lines `time value step`), and `mlflow.db`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lrscope.curves.readers import sqlite
from lrscope.curves.readers.column import to_number
from lrscope.curves.readers.csv import decoded
from lrscope.curves.readers.record import NotThisFormat, Reader, Record, Series
from lrscope.curves.readers.roles import assign_roles
from lrscope.curves.readers.settings import facts_from

Points = list[tuple[float, float]]  # (step, value)


def is_run_folder(path: Path) -> bool:
    """Whether a folder is one run of MLflow's file store."""
    return (path / "meta.yaml").is_file() and (path / "metrics").is_dir()


def read_folder(paths: Sequence[Path]) -> list[Record]:
    """The run in a folder of the file store."""
    notes: list[str] = []
    metrics: dict[str, Points] = {}
    folder = paths[0] / "metrics"
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        metrics[file.relative_to(folder).as_posix()] = _points(decoded(file.read_bytes()), file.name, notes)
    settings = {
        file.name: decoded(file.read_bytes()).strip()
        for file in sorted((paths[0] / "params").rglob("*"))
        if file.is_file() and file.stat().st_size < 4096
    }
    return [_record("", metrics, settings, notes)]


def _points(text: str, name: str, notes: list[str]) -> Points:
    lines = text.split("\n")
    torn = lines.pop()
    points: Points = []
    bad = 0
    for line in lines:
        try:
            _, value, *step = line.split(" ")
            number = to_number(value)
            points.append((float(step[0]) if step else float(len(points)), np.nan if number is None else number))
        except ValueError:
            bad += bool(line)
    if torn:
        notes.append(f"the last line of '{name}' is cut off and is left out")
    if bad:
        notes.append(f"{bad} lines of '{name}' are no metrics and are left out")
    return points


def read_database(paths: Sequence[Path]) -> list[Record]:
    """The runs in an `mlflow.db`, labelled by name."""
    notes: list[str] = []
    metrics: dict[str, dict[str, Points]] = {}
    settings: dict[str, dict[str, object]] = {}
    with sqlite.opened(paths[0], {"metrics", "runs"}) as db:
        for run, name, _, step, value, is_nan in sqlite.rows(
            db, "SELECT run_uuid, key, timestamp, step, value, is_nan FROM metrics", notes
        ):
            # The database has no NaN and no infinity: it holds 0 with a mark, and ± the largest number.
            value = np.nan if is_nan or value is None else float(value)
            value = np.sign(value) * np.inf if abs(value) > 1.797e308 else value
            metrics.setdefault(run, {}).setdefault(name, []).append((float(step), value))
        for run, name, value in sqlite.rows(db, "SELECT run_uuid, key, value FROM params", notes):
            settings.setdefault(run, {})[name] = value
        labels = dict(sqlite.rows(db, "SELECT run_uuid, name FROM runs", notes))
    records = []
    for run, series in metrics.items():
        try:
            records.append(_record(str(labels.get(run) or run), series, settings.get(run, {}), notes))
        except NotThisFormat:
            continue
    if not records:
        raise NotThisFormat("no run with a loss")
    return records


def _record(label: str, metrics: Mapping[str, Points], settings: Mapping[str, object], notes: Sequence[str]) -> Record:
    roles, remarks = assign_roles({name: len(points) for name, points in metrics.items()})
    if "loss" not in roles:
        raise NotThisFormat("no metric is a loss")
    series = {role: Series.from_points(metrics[name]) for role, name in roles.items()}
    label = re.sub(r"/", "-", label)
    return Record(label=label, series=series, facts=facts_from(settings), notes=(*notes, *remarks))


FOLDER = Reader(
    name="MLflow run",
    accepts="MLflow's mlruns folders and mlflow.db",
    matches=lambda path, head: False,
    read=read_folder,
    claims_folder=is_run_folder,
)
DATABASE = Reader(
    name="MLflow database",
    accepts="MLflow's mlruns folders and mlflow.db",
    matches=lambda path, head: head.startswith(sqlite.MAGIC),
    read=read_database,
)
