"""Optuna: the intermediate values of each trial, from a SQLite database or a journal file."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lrscope.curves.readers import sqlite
from lrscope.curves.readers.column import to_number
from lrscope.curves.readers.csv import decoded
from lrscope.curves.readers.jsonl import parse_json
from lrscope.curves.readers.record import NotThisFormat, Reader, Record, Series
from lrscope.curves.readers.settings import facts_from

_MINIMIZE, _MAXIMIZE = 1, 2
_CREATE_STUDY, _CREATE_TRIAL, _PARAMETER, _INTERMEDIATE = 0, 4, 5, 7


@dataclass(eq=False)
class _Trial:
    """One trial as it is collected: its number within the study, parameters and reported values."""

    study: int
    number: int
    settings: dict[str, object] = field(default_factory=dict)
    values: list[tuple[float, float]] = field(default_factory=list)


@dataclass(eq=False)
class _Studies:
    """Names and directions of the studies, and their trials by id."""

    names: dict[int, str] = field(default_factory=dict)
    maximized: set[int] = field(default_factory=set)
    trials: dict[int, _Trial] = field(default_factory=dict)

    def records(self, notes: list[str]) -> list[Record]:
        """The trials that reported values, as records. Raises NotThisFormat where none did."""
        reported = [trial for trial in self.trials.values() if trial.values]
        losses = [trial for trial in reported if trial.study not in self.maximized]
        if len(losses) < len(reported):
            notes.append(
                f"{len(reported) - len(losses)} trials of studies that maximize are no losses and are left out"
            )
        if not losses:
            raise NotThisFormat(
                "no trial reported a value that is minimized" if reported else "no trial reported values"
            )
        several = len(self.names) > 1
        return [
            Record(
                label=(f"{self.names.get(trial.study, 'study')}-" if several else "") + f"trial-{trial.number}",
                series={"loss": Series.from_points(trial.values)},
                facts=facts_from(trial.settings),
                notes=(*notes, "the values that the trial reported are taken as the loss"),
            )
            for trial in losses
        ]


def _parameter(value: Any, distribution: str) -> object:
    """A stored parameter's value: for a choice, the number is its place among the choices."""
    try:
        choices = json.loads(distribution).get("attributes", {}).get("choices")
        return choices[int(value)] if choices is not None else value
    except (ValueError, TypeError, IndexError, AttributeError, RecursionError):
        return value


def read_database(paths: Sequence[Path]) -> list[Record]:
    """The trials in an Optuna database."""
    notes: list[str] = []
    studies = _Studies()
    with sqlite.opened(paths[0], {"trials", "studies", "trial_intermediate_values"}) as db:
        studies.names = dict(sqlite.rows(db, "SELECT study_id, study_name FROM studies", notes))
        directions = sqlite.rows(db, "SELECT study_id, direction FROM study_directions", notes)
        studies.maximized = {study for study, direction in directions if direction == "MAXIMIZE"}
        for trial, study, number in sqlite.rows(db, "SELECT trial_id, study_id, number FROM trials", notes):
            studies.trials[trial] = _Trial(study, number)
        query = "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params"
        for trial, name, value, distribution in sqlite.rows(db, query, notes):
            if trial in studies.trials:
                studies.trials[trial].settings[name] = _parameter(value, distribution)
        kinds = "intermediate_value_type" in sqlite.columns(db, "trial_intermediate_values")
        query = f"SELECT trial_id, step, intermediate_value, {'intermediate_value_type' if kinds else 'NULL'} "
        for trial, step, value, kind in sqlite.rows(db, query + "FROM trial_intermediate_values", notes):
            if trial in studies.trials and isinstance(step, int | float):
                studies.trials[trial].values.append((float(step), _stored(value, kind)))
    return studies.records(notes)


def _stored(value: Any, kind: str | None) -> float:
    special = {"NAN": math.nan, "INF_POS": math.inf, "INF_NEG": -math.inf}.get(kind or "")
    if special is not None:
        return special
    return float(value) if isinstance(value, int | float) else math.nan


def read_journal(paths: Sequence[Path]) -> list[Record]:
    """The trials in an Optuna journal: one operation per line, ids counted as they are created."""
    notes: list[str] = []
    studies = _Studies()
    numbers: dict[int, int] = {}
    bad = 0
    for line in decoded(paths[0].read_bytes()).split("\n"):
        try:
            operation = parse_json(line)
            _apply(operation, studies, numbers)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            bad += bool(line.strip())
    if bad:
        notes.append(f"{bad} lines are no operations and are left out")
    return studies.records(notes)


def _apply(operation: dict[str, Any], studies: _Studies, numbers: dict[int, int]) -> None:
    """One operation of the journal; raises KeyError or the like where it is none."""
    code = operation["op_code"]
    if code == _CREATE_STUDY:
        study = len(studies.names)
        studies.names[study] = str(operation["study_name"])
        if _MAXIMIZE in operation.get("directions", []):
            studies.maximized.add(study)
    elif code == _CREATE_TRIAL:
        study = int(operation["study_id"])
        trial = _Trial(study, numbers.get(study, 0))
        numbers[study] = trial.number + 1
        studies.trials[len(studies.trials)] = trial
        distributions = operation.get("distributions") or {}
        for name, value in (operation.get("params") or {}).items():
            trial.settings[name] = _parameter(value, distributions.get(name, ""))
        for step, value in (operation.get("intermediate_values") or {}).items():
            trial.values.append((float(step), _value(value)))
    elif code == _PARAMETER:
        value = _parameter(operation["param_value_internal"], operation["distribution"])
        studies.trials[int(operation["trial_id"])].settings[operation["param_name"]] = value
    elif code == _INTERMEDIATE:
        point = (float(operation["step"]), _value(operation["intermediate_value"]))
        studies.trials[int(operation["trial_id"])].values.append(point)


def _value(value: Any) -> float:
    number = to_number(value)
    return math.nan if number is None else number


DATABASE = Reader(
    name="Optuna database",
    accepts="Optuna's databases and journals",
    matches=lambda path, head: head.startswith(sqlite.MAGIC),
    read=read_database,
)
JOURNAL = Reader(
    name="Optuna journal",
    accepts="Optuna's databases and journals",
    matches=lambda path, head: head.startswith(b"{") and b'"op_code"' in head[:200],
    read=read_journal,
)
