"""The live display: what is done, the curve so far, the optimum, the cost, the time left."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lrscope.cli.progress import StudyProgress
from lrscope.study.run import run_study
from lrscope.study.trial import Trial

TINY = Path(__file__).parents[1] / "study" / "files" / "tiny.py"


def watched(terminal: bool, out: Path | None = None, **options: Any) -> str:
    """What a study of a tiny task shows on a terminal, or where there is none."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=110, color_system=None, legacy_windows=False)
    with StudyProgress(console) as progress:
        run_study(f"{TINY}:regression", executor="serial", seeds=1, progress=progress, out=out, **options)
    return file.getvalue()


def last_view(text: str) -> list[str]:
    """The lines that stay on the screen."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "")
    lines = plain.splitlines()
    start = max(index for index, line in enumerate(lines) if "batch size" in line and "best lr" in line)
    head = lines[start][lines[start].index("batch size") :]
    return [head, *lines[start + 1 :]]


def test_every_batch_size_has_a_line_with_its_curve_optimum_and_cost() -> None:
    head, small, large, *rest = last_view(watched(terminal=True))
    assert head.split("  ")[0] == "batch size"
    assert "schedule" not in head
    for line, size in ((small, "8"), (large, "32")):
        assert line.split()[0] == size
        assert int(line.split()[1]) >= 2
        assert re.search(r"[▁▂▃▄▅▆▇█]", line)
        assert re.search(r"0\.\d+ \((.* to .*|below .*|above .*)\)", line)
        assert float(line.split()[-1]) > 1
    assert any("illustration" in line or "verification" in line for line in rest)


def test_schedules_are_named_where_there_are_several() -> None:
    view = last_view(watched(terminal=True, schedules=("cosine", "linear"), max_runs=3))
    assert "schedule" in view[0]
    assert sum("linear" in line for line in view) == 2


def test_the_time_left_is_said_once_something_is_known() -> None:
    lines = watched(terminal=False).splitlines()
    assert re.fullmatch(r"search: \d+ trials? at batch size [\d, ]+\.", lines[0])
    assert re.search(r"about [\d.]+ (µs|ms|s|min)( \d+ s)? left", lines[-2])
    assert not any("batch size  " in line for line in lines)


def test_the_time_left_of_a_search_counts_the_comparison_of_schedules_and_the_verification() -> None:
    rounds: list[tuple[str, float]] = []

    class Recorded(StudyProgress):
        def asked(self, trials: Sequence[Trial], stage: str) -> None:
            super().asked(trials, stage)
            assert self.plan is not None
            rounds.append((stage, self._expected(self.plan)))

    options = {"executor": "serial", "seeds": 1, "schedules": ("cosine", "linear"), "batch_sizes": (32,)}
    with Recorded(Console(file=io.StringIO())) as progress:
        run_study(f"{TINY}:regression", progress=progress, **options)  # type: ignore[arg-type]
    comparison = next(expected for stage, expected in rounds if stage == "comparison")
    assert min(expected for stage, expected in rounds if stage == "search") >= comparison


def test_a_study_that_goes_on_says_what_is_kept(tmp_path: Path) -> None:
    watched(terminal=False, out=tmp_path, max_runs=2)
    assert watched(terminal=False, out=tmp_path).startswith("Going on: 2 finished trials are kept.\n")


def test_an_error_leaves_no_empty_table(monkeypatch: pytest.MonkeyPatch, capsys: Callable[[], Any]) -> None:
    file = io.StringIO()
    with (
        pytest.raises(RuntimeError, match="anything"),
        StudyProgress(Console(file=file, force_terminal=True, width=80)),
    ):
        raise RuntimeError("anything")
    assert "batch size" not in file.getvalue()
