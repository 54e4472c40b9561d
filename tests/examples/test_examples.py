"""The task files that people copy: each is studied, and the table of them is whole."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from lrscope.study.run import run_study

EXAMPLES = Path(__file__).parents[2] / "examples"
NEEDS = {"transformer.py": "transformers"}
FILES = sorted(path.name for path in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.filterwarnings("default")  # other packages' own
def test_an_example_trains(name: str, tmp_path: Path) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"{NEEDS[name]} is not installed: {name} is not tried")
    reference = f"{EXAMPLES / name}:task"
    result = run_study(
        reference, search="grid", lr=(0.002, 0.002), seeds=1, executor="serial", out=tmp_path, max_runs=1
    )
    (run,) = result.trials
    assert run.status == "finished"
    assert math.isfinite(run.train_loss)
    assert run.train_loss < run.initial_train_loss
    assert run.val_loss is not None
    assert run.val_loss < run.initial_loss("val_loss")


def test_every_example_is_in_the_table_and_says_how_to_run_it() -> None:
    table = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert sorted(set(re.findall(r"\]\((\w+\.py)\)", table))) == FILES
    for name in FILES:
        assert f"lrscope study examples/{name}:task" in (EXAMPLES / name).read_text(encoding="utf-8")
