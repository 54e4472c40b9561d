"""The page in a real browser with the network off: no console error, no request, every chart drawn."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lrscope.report.study import write_study_report
from lrscope.study.result import StudyResult

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--disable-default-apps",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9", "--enable-logging=stderr", "--v=0",
    "--virtual-time-budget=30000", "--window-size=1300,3000",
)  # fmt: skip
CONSOLE = re.compile(r"CONSOLE.*")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to open the page in")


@dataclass(frozen=True)
class Opened:
    """What the browser made of a page: its document, its console, and the addresses that the page asked for."""

    document: str
    console: list[str]
    requests: list[str]


def open_offline(page: Path, folder: Path) -> Opened:
    """Open a page with no name resolved and a proxy that is not there."""
    assert CHROMIUM is not None
    log = folder / "net.json"
    places = (f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}")
    done = subprocess.run(
        [CHROMIUM, *FLAGS, *places, "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    # The browser's own errands (its clock, its updates) have "not an origin" for an initiator; a page's have one.
    asked = re.findall(r'"initiator":"(?!not an origin)[^\n]*?"url":"((?!data:|blob:)[^"]+)"', log.read_text("utf-8"))
    return Opened(document=done.stdout, console=CONSOLE.findall(done.stderr), requests=asked)


@pytest.mark.parametrize("name", ["study", "schedules_study"])
def test_a_study_page_opens_offline_without_errors_or_requests_and_draws_all_charts(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    result: StudyResult = request.getfixturevalue(name)
    page = write_study_report(result, tmp_path / "report.html")
    opened = open_offline(page, tmp_path)
    assert opened.console == []
    assert opened.requests == []

    slots = len(re.findall(r'data-chart="\d+"', page.read_text(encoding="utf-8")))
    drawn = re.search(r'data-drawn="(\d+)/(\d+)"', opened.document)
    assert drawn is not None
    assert (int(drawn[1]), int(drawn[2])) == (slots, slots)
    body = opened.document.split("<main>")[1].split("</main>")[0]
    assert len(re.findall(r'<(?:svg|canvas)[^>]*class="marks', body)) == slots
    assert "could not be drawn" not in body


def test_layers_without_rows_warn_of_nothing(study: StudyResult, tmp_path: Path) -> None:
    calm = tuple(
        replace(one, curve=tuple(point for point in one.curve if math.isfinite(point.loss))) for one in study.optima
    )
    runs = tuple(run for run in study.trials if run.status == "finished")
    page = write_study_report(replace(study, optima=calm, trials=runs), tmp_path / "report.html")
    assert open_offline(page, tmp_path).console == []


def test_the_watch_on_requests_and_console_sees_both(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text('<body><img src="http://example.invalid/a.png"><script>console.error("seen")</script></body>')
    opened = open_offline(page, tmp_path)
    assert opened.requests == ["http://example.invalid/a.png"]
    assert any("seen" in line for line in opened.console)
