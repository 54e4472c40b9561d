"""The study's page: every section that it has data for, light, escaped, and the lines to paste do run."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from lrscope.estimate import Estimate
from lrscope.report.sections.answer import paste_lines
from lrscope.report.study import study_page, write_study_report
from lrscope.study.result import StudyResult

SECTIONS = [
    "Which learning rate?",
    "What to train with",
    "What each learning rate does to the curve",
    "The four curves",
    "How the best learning rate moves with the batch size",
    "Large against small batches",
    "How far the weights move",
    "All runs",
    "What it cost",
    "Notes",
]


def headlines(result: StudyResult) -> list[str]:
    return [section.headline for section in study_page(result).sections]


def test_a_whole_study_has_every_section(study: StudyResult) -> None:
    names = headlines(study)
    assert [re.sub(r" \d+", "", name) for name in names] == SECTIONS


def test_several_schedules_are_ranked(schedules_study: StudyResult) -> None:
    assert "Which schedule?" in headlines(schedules_study)
    html = study_page(schedules_study).html()
    assert "Each schedule at its own best learning rate" in html


def test_names_from_users_are_escaped(study: StudyResult) -> None:
    html = study_page(study).html()
    assert "<script>alert" not in html
    assert "digits &lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; co" in html


def test_a_study_that_was_cut_short_still_has_a_page(study: StudyResult) -> None:
    bare = replace(study, recommended=None, laws=(), trials=study.trials[:1], notes=(), optima=study.optima[:1])
    names = headlines(bare)
    assert "Which learning rate?" in names
    assert "What to train with" not in names
    assert "How the best learning rate moves with the batch size" not in names
    nothing = replace(bare, optima=(), trials=())
    assert headlines(nothing)[0] == "Which learning rate?"
    assert study_page(nothing).html()


def test_ten_thousand_updates_a_run_do_not_make_the_page_heavy(study: StudyResult, fake: ModuleType) -> None:
    light = len(study_page(study).html())
    long = tuple(
        fake.fake_trial(run.trial.batch_size, run.trial.peak_lr, run.trial.seed, steps=10_000) for run in study.trials
    )
    heavy = len(study_page(replace(study, trials=long)).html())
    assert heavy < light + 600_000
    assert heavy < 2_000_000


def test_the_page_says_what_was_gained_and_why(study: StudyResult) -> None:
    assert study.recommended is not None
    reasoned = replace(study, recommended=replace(study.recommended, reason="Because of <this>."))
    html = study_page(reasoned).html()
    assert study.recommended.verdict in html
    assert "Because of &lt;this&gt;." in html


def test_a_gain_in_training_loss_alone_is_shown_as_that(study: StudyResult) -> None:
    assert study.recommended is not None
    unclear = replace(study.recommended, gain=Estimate(0.01, -0.02, 0.04))
    shown = study_page(replace(study, recommended=unclear)).html()
    assert "6.1 times lower" in shown
    assert "training loss 0.371 at 0.01; no clear gain in validation" in shown
    alike = replace(unclear, default_train_loss=unclear.train_loss)
    assert "no clear gain" in study_page(replace(study, recommended=alike)).html()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_lines_to_paste_run(study: StudyResult, optimizer: str) -> None:
    assert study.recommended is not None
    code = paste_lines(replace(study, optimizer=optimizer), study.recommended)
    names: dict[str, object] = {"model": torch.nn.Linear(2, 1)}
    exec(code, names)
    made = names["optimizer"]
    assert isinstance(made, torch.optim.SGD if optimizer == "sgd" else torch.optim.AdamW)
    assert made.param_groups[0]["initial_lr"] == pytest.approx(study.recommended.peak_lr, rel=1e-2)
    assert made.param_groups[0]["lr"] < study.recommended.peak_lr  # in its warm-up
    assert names["batch_size"] == study.recommended.batch_size


def test_an_optimizer_of_the_users_is_left_to_them(study: StudyResult) -> None:
    assert study.recommended is not None
    assert "make_optimizer(model.parameters(), lr=" in paste_lines(
        replace(study, optimizer="make_optimizer"), study.recommended
    )


def test_every_number_of_a_table_can_be_sorted_by(study: StudyResult, tmp_path: Path) -> None:
    html = write_study_report(study, tmp_path / "report.html").read_text(encoding="utf-8")
    table = html.split(f"<h2>All {len(study.trials)} runs</h2>")[1].split("</table>")[0]
    assert len(re.findall(r"<tr", table)) == len(study.trials) + 1
    assert table.count("data-sort=") >= 5 * len(study.trials)
