"""The commands diagnose and watch: what they print, their files, their exit codes."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lrscope.diagnosis.regime import REGIMES

Run = Callable[..., Any]  # of the fixture `run`
STEPS = np.arange(300)


def loss_at(lr: float, seed: int = 0) -> np.ndarray:
    """Gradient descent on noisy parabolas of curvatures 0.01 … 1, with the noise of batches in the loss."""
    rng, curvature = np.random.default_rng(seed), np.geomspace(0.01, 1.0, 20)
    x, loss = np.ones(20), np.empty(len(STEPS))
    for k in STEPS:
        loss[k] = float((curvature * x * x).mean()) + 0.01 * abs(rng.normal())
        x = x - lr * (curvature * x + 0.05 * rng.normal(size=20))
    return loss


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that differ by learning rate alone."""
    path = tmp_path_factory.mktemp("runs")
    with np.errstate(over="ignore", invalid="ignore"):
        for lr in (0.001, 0.03, 0.3, 1.0, 3.0):
            rows = [f"{k},{value},{lr}" for k, value in zip(STEPS, loss_at(lr), strict=True)]
            (path / f"lr={lr}.csv").write_text("step,loss,lr\n" + "\n".join(rows) + "\n")
    return path


def test_the_document(run: Run, folder: Path) -> None:
    result = run("diagnose", folder, "--json")
    assert result.code == 0
    document = json.loads(result.out)
    assert document["schema"] == "lrscope/diagnosis/1"
    assert [entry["name"] for entry in document["runs"]] == sorted(entry["name"] for entry in document["runs"])
    for entry in document["runs"]:
        assert set(entry) == {"name", "regime", "probabilities", "lr_factor", "evidence", "advice"}
        assert entry["regime"] in (*REGIMES, "inconclusive")
        assert set(entry["probabilities"]) == set(REGIMES)
        assert math.isclose(sum(entry["probabilities"].values()), 1.0, abs_tol=1e-6)
        assert set(entry["lr_factor"]) == {"value", "low", "high"}
        for item in entry["evidence"]:
            assert set(item) == {"what", "value", "says"}
    by_name = {entry["name"]: entry for entry in document["runs"]}
    assert by_name["lr=0.001"]["regime"] == "low"
    assert by_name["lr=3.0"]["regime"] == "very_high"


def test_runs_are_compared(run: Run, folder: Path) -> None:
    document = json.loads(run("diagnose", folder, "--compare", "--json").out)
    regimes = {entry["name"]: entry["regime"] for entry in document["runs"]}
    assert regimes["lr=0.001"] == "low"
    assert regimes["lr=3.0"] == "very_high"
    assert "good" in regimes.values()


def test_several_paths_are_told_apart(run: Run, folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "lr=0.3.csv"
    copy.write_text((folder / "lr=0.3.csv").read_text())
    document = json.loads(run("diagnose", folder / "lr=0.3.csv", copy, "--json").out)
    assert len({entry["name"] for entry in document["runs"]}) == 2


def test_the_terminal_says_what_to_do(run: Run, folder: Path) -> None:
    result = run("diagnose", folder / "lr=0.001.csv")
    assert result.code == 0
    assert "low" in result.out
    assert "Raise the learning rate" in " ".join(result.out.split())


def test_fail_on(run: Run, folder: Path) -> None:
    low = folder / "lr=0.001.csv"
    assert run("diagnose", low, "--fail-on", "low").code == 3
    assert run("diagnose", low, "--fail-on", "high,very_high").code == 0
    result = run("diagnose", low, "--fail-on", "low", "--json")
    assert result.code == 3
    assert json.loads(result.out)["runs"][0]["regime"] == "low"


@pytest.mark.parametrize("suffix", [".html", ".png", ".svg"])
def test_pictures(run: Run, suffix: str, folder: Path, tmp_path: Path) -> None:
    for paths in ([folder], [folder / "lr=0.3.csv"]):
        path = tmp_path / f"picture{len(paths)}{suffix}"
        result = run("diagnose", *paths, "--html", path)
        assert result.code == 0
        content = path.read_bytes()
        assert content.startswith({".html": b"<!", ".png": b"\x89PNG", ".svg": b"<svg"}[suffix])
        path.unlink()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["diagnose", "missing.csv"], "There is no file or folder 'missing.csv'"),
        (["diagnose", "FILE", "--fail-on", "bad"], "--fail-on takes one of very_high, high, good, low, inconclusive"),
        (["diagnose", "FILE", "--html", "out.pdf"], "--html must name a file that ends in .html, .png or .svg"),
        (["watch", "FILE", "--every", "0"], "--every must be a number of seconds > 0"),
        (["watch", "missing", "--once"], "There is no file or folder 'missing'"),
    ],
)
def test_bad_input_gets_one_sentence(run: Run, arguments: list[str], words: str, folder: Path) -> None:
    result = run(*[folder / "lr=0.3.csv" if a == "FILE" else a for a in arguments])
    assert result.code == 2
    assert result.out == ""
    assert words in " ".join(result.err.split())
    assert "Traceback" not in result.err


def test_runs_without_a_rate_are_not_compared(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,loss\n" + "".join(f"{k},{2.0 - k / 100}\n" for k in range(50)))
    result = run("diagnose", path, "--compare")
    assert result.code == 2
    assert "run 'log' has none in its log" in " ".join(result.err.split())


def test_watch_looks_once(run: Run, folder: Path) -> None:
    result = run("watch", folder, "--once")
    assert result.code == 0
    assert "very high" in result.out
    assert any(bar in result.out for bar in "▁▂▃▄▅▆▇█")
    document = json.loads(run("watch", folder, "--json").out)
    assert document["schema"] == "lrscope/diagnosis/1"
    assert run("watch", folder, "--once", "--fail-on", "very_high").code == 3


def test_watch_follows_a_growing_log_until_it_must_fail(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    rows = [f"{k},{2.0 / (1 + k / 10)}\n" for k in range(40)]
    path.write_text("step,loss\n" + "".join(rows))
    call = [sys.executable, "-m", "lrscope", "watch", str(path), "--every", "0.1", "--fail-on", "very_high"]
    environment = {**os.environ, "TERM": "dumb"}
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        time.sleep(3)
        assert process.poll() is None, "the run has not diverged yet"
        with path.open("a") as file:
            file.writelines(f"{k},nan\n" for k in range(40, 60))
        out, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "The loss is not finite from step 40 on." in " ".join(out.split())
    assert "very high from step 59" in " ".join(out.split())
    assert "Traceback" not in err
