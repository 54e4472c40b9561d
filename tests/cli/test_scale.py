"""`lrscope scale` on the tables that people have: clean, noisy, sparse, one-sided, diverged, and broken."""

from __future__ import annotations

import gzip
import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest

from lrscope.cli.scale_input import read_table

SHARED = Path(os.environ.get("LRSCOPE_SHARED", Path(__file__).resolve().parents[3] / "shared"))
TABLES = sorted(SHARED.glob("data/*/*.csv"))


def planted(path, *, growth=0.5, sizes=(16, 32, 64, 128), noise=0.0, octaves=range(-3, 4), head=None, better="low"):
    """A sweep whose optimum is 2^-8 (B/16)^growth: parabolas in log₂ η."""
    rng = np.random.default_rng(0)
    lines = [head or "batch_size,lr,loss"]
    for size in sizes:
        best = -8 + growth * math.log2(size / 16)
        for octave in octaves:
            rate = round(best) + octave
            loss = 2.0 + 0.05 * (rate - best) ** 2 + noise * rng.normal()
            lines.append(f"{size},{2.0**rate!r},{loss if better == 'low' else 3 - loss!r}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def scale(run):
    """Run `lrscope scale … --json`; the document."""

    def scale_(path, *options):
        ran = run("scale", path, *options, "--json")
        assert ran.code == 0, ran.err
        return json.loads(ran.out)

    return scale_


def test_the_document_has_what_the_contract_says(scale, tmp_path):
    document = scale(planted(tmp_path / "sweep.csv"), "--predict", "512,1024")
    assert document["schema"] == "lrscope/scale/1"
    (group,) = document["groups"]
    assert set(group) >= {"group", "optima", "laws", "predictions", "next_run"}
    assert group["group"] == {}
    assert [optimum["batch_size"] for optimum in group["optima"]] == [16, 32, 64, 128]
    for optimum in group["optima"]:
        assert optimum["status"] == "found"
        assert set(optimum["optimal_lr"]) == {"value", "low", "high"}
        assert set(optimum["curve"][0]) == {"lr", "loss", "regime"}
        assert optimum["runs"] == 7
    assert {law["name"] for law in group["laws"]} == {
        *("constant", "linear", "square-root", "power"),
        *("linear-saturating", "square-root-saturating", "surge"),
    }
    weights = [law["weight"] for law in group["laws"]]
    assert weights == sorted(weights, reverse=True)
    assert sum(weights) == pytest.approx(1)
    assert group["laws"][0]["name"] == "square-root"
    predicted = {item["batch_size"]: item["optimal_lr"] for item in group["predictions"]}
    assert set(predicted) == {512, 1024}
    truth = 2**-8 * math.sqrt(512 / 16)
    assert predicted[512]["low"] < truth < predicted[512]["high"]
    assert predicted[512]["value"] == pytest.approx(truth, rel=0.3)


@pytest.mark.parametrize("growth", [0.0, 0.5, 1.0])
def test_planted_optima_come_back(scale, tmp_path, growth):
    (group,) = scale(planted(tmp_path / "sweep.csv", growth=growth))["groups"]
    for optimum in group["optima"]:
        truth = 2**-8 * (optimum["batch_size"] / 16) ** growth
        assert optimum["optimal_lr"]["value"] == pytest.approx(truth, rel=0.05)


def test_a_metric_to_maximize_mirrors_the_loss_and_keeps_its_units(scale, tmp_path):
    low = scale(planted(tmp_path / "loss.csv"))["groups"][0]
    high = scale(
        planted(tmp_path / "score.csv", head="batch_size,lr,reward", better="high"),
        *("--maximize", "--loss-column", "reward"),
    )
    assert high["maximize"]
    for one, other in zip(low["optima"], high["groups"][0]["optima"], strict=True):
        assert other["optimal_lr"]["value"] == pytest.approx(one["optimal_lr"]["value"], rel=1e-3)
        assert other["expected_loss"]["value"] == pytest.approx(3 - one["expected_loss"]["value"], abs=5e-3)
        assert other["expected_loss"]["low"] <= other["expected_loss"]["value"] <= other["expected_loss"]["high"]


def test_accuracy_is_maximized_unasked(scale, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("lr,val_accuracy\n0.01,0.7\n0.02,0.8\n0.04,0.85\n0.08,0.8\n0.16,0.6\n", encoding="utf-8")
    document = scale(path)
    assert document["maximize"]
    (optimum,) = document["groups"][0]["optima"]
    assert optimum["batch_size"] is None
    assert 0.02 < optimum["optimal_lr"]["value"] < 0.08
    assert optimum["expected_loss"]["value"] == pytest.approx(0.85, abs=0.02)


def test_an_edge_says_what_to_run_and_diverged_runs_bound_the_optimum(scale, tmp_path):
    path = tmp_path / "edge.csv"
    rows = ["lr,batch_size,loss"]
    rows += [f"{2.0**x},64,{2 + 0.1 * (x + 12)}" for x in range(-10, -5)]  # falls towards the lowest rate
    rows += [f"{2.0**x},128,{loss}" for x, loss in zip(range(-10, -5), (2.3, 2.1, 2.0, "nan", "inf"), strict=True)]
    rows += [f"{2.0**x},256,nan" for x in range(-10, -5)]
    path.write_text("\n".join(rows), encoding="utf-8")
    low, bounded, gone = scale(path)["groups"][0]["optima"]
    assert low["status"] == "edge"
    assert low["optimal_lr"]["low"] is None
    assert "at or below 0.000977" in low["advice"]
    assert bounded["optimal_lr"]["high"] <= 2.0**-7
    assert [point["loss"] for point in bounded["curve"]][-2:] == [None, None]
    assert (gone["status"], gone["optimal_lr"]) == ("all_diverged", None)


def test_groups_lend_each_other_strength_by_their_columns(scale, tmp_path):
    path = tmp_path / "company.csv"
    rows = ["n_params,batch_size,lr,loss"]
    for params in (1e6, 2e6, 4e6, 8e6):
        for size in (16, 32, 64, 128, 256) if params < 8e6 else (16, 32):
            best = -8 + 0.5 * math.log2(size / 16) - 0.7 * math.log2(params / 1e6)
            for octave in range(-3, 4):
                rate = round(best) + octave
                rows.append(f"{params},{size},{2.0**rate!r},{2 + 0.05 * (rate - best) ** 2}")
    path.write_text("\n".join(rows), encoding="utf-8")
    document = scale(path, "--by", "n_params", "--predict", "256")
    assert document["covariates"] == ["n_params"]
    last = document["groups"][-1]
    assert last["group"] == {"n_params": 8e6}
    truth = 2 ** (-8 + 0.5 * 4 - 0.7 * 3)
    assert last["predictions"][0]["optimal_lr"]["value"] == pytest.approx(truth, rel=0.25)
    exponent = next(law for law in last["laws"] if law["name"] == "power")["parameters"]["exponent of n_params"]
    assert exponent["low"] < -0.7 < exponent["high"]
    alone = scale(path, "--by", "")
    assert len(alone["groups"]) == 1


def test_steps_to_a_target_give_the_critical_batch_size(scale, tmp_path):
    path = tmp_path / "steps.csv"
    rows = [f"{size},{round(1000 * (1 + 500 / size))}" for size in (32, 64, 128, 256, 512, 1024, 2048)]
    path.write_text("batch_size,steps_to_target\n" + "\n".join(rows), encoding="utf-8")
    (group,) = scale(path)["groups"]
    assert group["steps_law"]["critical_batch_size"]["value"] == pytest.approx(500, rel=0.01)
    assert group["optima"] == []


def test_a_critical_batch_size_that_is_not_seen_is_not_named(run, scale, tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text("batch_size,steps_to_target\n16,100\n32,101\n64,100\n", encoding="utf-8")
    ran = run("scale", path)
    assert "The critical batch size is open." in ran.out
    assert "lies below" in " ".join(ran.out.split())
    law = scale(path)["groups"][0]["steps_law"]
    assert law["critical_batch_size"] == {"value": 16.0, "low": None, "high": None}


def test_a_parquet_table_reads_as_its_csv(scale, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet needs pyarrow, of lrscope[tables]")
    from pyarrow import csv

    path = planted(tmp_path / "sweep.csv")
    parquet.write_table(csv.read_csv(path), tmp_path / "sweep.parquet")
    assert scale(tmp_path / "sweep.parquet") == scale(path)


def test_a_folder_of_logs_is_a_table_of_its_runs(scale, tmp_path):
    for octave in range(-3, 4):
        rate = 2.0 ** (octave - 7)
        losses = 1.0 + 0.1 * octave**2 + np.exp(-np.arange(200) / 20.0)
        lines = ["step,loss,lr", *(f"{step},{loss},{rate}" for step, loss in enumerate(losses))]
        (tmp_path / f"bs=32_lr={rate:g}.csv").write_text("\n".join(lines), encoding="utf-8")
    (optimum,) = scale(tmp_path)["groups"][0]["optima"]
    assert optimum["batch_size"] == 32
    assert optimum["optimal_lr"]["value"] == pytest.approx(2**-7, rel=0.1)


def test_a_study_keeps_the_optima_that_it_found(run, scale, tmp_path):
    tiny = f"{Path(__file__).parents[1] / 'study' / 'files' / 'tiny.py'}:regression"
    options = ("--seeds", 1, "--executor", "serial", "--engine", "loop", "--json")
    studied = run("study", tiny, "--out", tmp_path, *options)
    assert studied.code == 0, studied.err
    wanted = {
        optimum["batch_size"]: optimum["optimal_lr"]
        for optimum in json.loads(studied.out)["optima"]
        if optimum["status"] == "found"
    }
    assert wanted
    for place in (tmp_path, tmp_path / "study.db"):
        (group,) = scale(place, "--predict", "64")["groups"]
        found = {item["batch_size"]: item["optimal_lr"] for item in group["optima"] if item["batch_size"] in wanted}
        assert found == wanted
        assert group["predictions"][0]["optimal_lr"]["value"] > 0


def test_whole_curves_become_finished_runs(tmp_path):
    path = tmp_path / "curves.csv"
    rows = ["run,step,lr,batch_size,loss"]
    rows += [f"{run},{step},{0.01 * 2**run},8,{3 - step / 100 + run}" for run in range(4) for step in range(100)]
    path.write_text("\n".join(rows), encoding="utf-8")
    table = read_table(path)
    assert len(table) == 4
    runs = table.runs()
    assert runs.loss[0] == pytest.approx(3 - 0.97)  # the mean of steps 95 to 99
    assert runs.initial_loss[0] == 3


def test_seeds_and_settings_with_other_names_are_found(tmp_path):
    path = tmp_path / "w.csv"
    path.write_text(
        "Name;config/Learning Rate;train-batch-size;random_seed;eval_loss\nr1;0.1;8;0;2\nr2;0.2;8;1;3\n", "utf-8"
    )
    roles = read_table(path).roles
    assert (roles.lr, roles.batch, roles.seed) == ("config/Learning Rate", "train-batch-size", "random_seed")
    assert roles.loss == "eval_loss"


def swept(loss=lambda size, octave, loss: f"{loss:.4f}"):
    """(batch size, rate, loss as text): parabolas with minima at 2^-8 for 16 and 2^-7 for 64, an octave apart."""
    for size, best in ((16, -8), (64, -7)):
        for octave in range(-3, 4):
            yield size, 2.0 ** (best + octave), loss(size, octave, 2 + 0.05 * octave**2)


def optima(document):
    """Batch size -> log₂ of the optimum, rounded, of the only group."""
    (group,) = document["groups"]
    return {
        item["batch_size"]: None if item["optimal_lr"] is None else round(math.log2(item["optimal_lr"]["value"]), 1)
        for item in group["optima"]
    }


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("batch_size,lr,val_acc", lambda size, lr, loss: f"{size},{lr},{100 - 10 * float(loss):.2f}%"),
        ("batch_size,lr,loss", lambda size, lr, loss: f"{size} examples,lr={lr:.6g},{loss}"),
        ("batch_size,lr,loss", lambda size, lr, loss: f"{size / 1000}k,{lr},{loss} nats"),
        ("# a sweep\n\nbatch_size,lr,loss", lambda size, lr, loss: f"{size},{lr},{loss}\n"),
        ("| batch size | lr | loss |\n|---|---|---|", lambda size, lr, loss: f"| {size} | {lr} | {loss} |"),
        ("batch_size,lr,loss_seed0,loss_seed1", lambda size, lr, loss: f"{size},{lr},{loss},{loss}"),
        ("batch_size,lr,seed 0,seed 1,seed 2", lambda size, lr, loss: f"{size},{lr},{loss},{loss},"),
        ("per_device_batch_size,gpus,grad_accum,lr,loss", lambda size, lr, loss: f"{size // 8},4,2,{lr},{loss}"),
        ("batch_size,lr,episode_reward", lambda size, lr, loss: f"{size},{lr},{5 - float(loss)}"),
    ],
)
def test_tables_as_people_type_them(scale, tmp_path, head, row):
    path = tmp_path / "table.csv"
    path.write_text("\n".join([head, *(row(*run) for run in swept())]), encoding="utf-8")
    assert optima(scale(path)) == {16: -8.0, 64: -7.0}


def test_a_comma_within_a_number_groups_thousands(scale, tmp_path):
    path = tmp_path / "table.csv"
    rows = [f'"{1000 * size:,}",{lr},{loss}' for size, lr, loss in swept()]
    path.write_text("\n".join(["batch_size,lr,loss", *rows]), encoding="utf-8")
    assert optima(scale(path)) == {16000: -8.0, 64000: -7.0}


@pytest.mark.parametrize("head", ["lr,16,64", "lr,bs=16,bs=64"])
def test_a_column_for_each_batch_size(scale, tmp_path, head):
    rows = [f"{2.0**x},{2 + 0.05 * (x + 8) ** 2},{2 + 0.05 * (x + 7) ** 2}" for x in range(-11, -4)]
    (tmp_path / "table.csv").write_text("\n".join([head, *rows]), encoding="utf-8")
    assert optima(scale(tmp_path / "table.csv")) == {16: -8.0, 64: -7.0}


def test_json_and_gzip_are_tables_too(scale, tmp_path):
    runs = [{"batch_size": size, "lr": lr, "loss": float(loss)} for size, lr, loss in swept()]
    (tmp_path / "list.json").write_text(json.dumps(runs), encoding="utf-8")
    (tmp_path / "lines.jsonl").write_text("\n".join(map(json.dumps, runs)), encoding="utf-8")
    rows = "\n".join(["batch_size,lr,loss", *(f"{size},{lr},{loss}" for size, lr, loss in swept())])
    (tmp_path / "table.csv.gz").write_bytes(gzip.compress(rows.encode()))
    for path in tmp_path.iterdir():
        assert optima(scale(path)) == {16: -8.0, 64: -7.0}


@pytest.mark.parametrize("mark", ["nan", "inf", "1e9", "999999999", "", "diverged", "#NUM!"])
def test_every_mark_of_divergence_bounds_the_optimum(scale, tmp_path, mark):
    rows = [f"{size},{lr},{loss}" for size, lr, loss in swept(lambda _, o, loss: mark if o > 1 else f"{loss}")]
    (tmp_path / "table.csv").write_text("\n".join(["batch_size,lr,loss", *rows]), encoding="utf-8")
    (group,) = scale(tmp_path / "table.csv")["groups"]
    for item, best in zip(group["optima"], (-8, -7), strict=True):
        assert item["status"] == "found"
        assert item["optimal_lr"]["high"] < 2.0 ** (best + 1.5)
        assert [point["loss"] for point in item["curve"]][-2:] == [None, None]


def test_runs_that_are_missing_did_not_diverge(scale, tmp_path):
    empty = swept(lambda size, o, loss: "" if size == 64 or o == -1 else f"{loss}")
    (tmp_path / "empty.csv").write_text("\n".join(["batch_size,lr,loss", *(f"{s},{r},{y}" for s, r, y in empty)]))
    document = scale(tmp_path / "empty.csv")
    assert optima(document) == {16: -8.0, 64: None}
    assert "1 run without a loss, below rates that have one: left out." in document["notes"]
    assert "None of the 7 runs at batch size 64 has a loss: they are taken as diverged." in document["notes"]
    rows = [f"{s},{r},{y},{'running' if float(y) > 2.1 else 'finished'}" for s, r, y in swept()]
    (tmp_path / "state.csv").write_text("\n".join(["batch_size,lr,loss,State", *rows]))
    document = scale(tmp_path / "state.csv")
    assert [item["runs"] for item in document["groups"][0]["optima"]] == [3, 3]
    assert "8 runs have not finished by column 'State': left out." in document["notes"]


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ("a,b\n1,2\n", (), "learning rate: name it with --lr-column"),
        ("lr,b\n1,2\n", (), "loss: name it with --loss-column"),
        ("lr,loss\n", (), "holds no run"),
        ("lr,loss\n0.1,\n0.2,\n", (), "Column 'loss' of .* is empty: no run has a loss"),
        ("lr,loss\n0.1,2,3\n", (), "Line 2 of .* has 3 fields"),
        ("lr,loss\n-0.1,2\n", (), "positive learning rates. Got -0.1 in run 1"),
        ("lr,loss\nhigh,2\n", (), "positive learning rates. Got 'high' in run 1"),
        ("lr,loss,batch_size\n0.1,2,0\n", (), "positive batch sizes. Got 0.0 in run 1"),
        ("lr,loss\n0.1,2\n", ("--lr-column", "rate"), "no column 'rate' .--lr-column"),
        ("lr,loss\n0.1,2\n", ("--loss-column", "lr"), "must be columns of their own"),
        ("lr,loss\n0.1,2\n", ("--by", "size"), "no column 'size' .--by"),
        ("lr,loss\n0.1,2\n", ("--predict", "many"), "--predict must be positive batch sizes"),
        ("lr,loss\n0.1,2\n", ("--predict", "-4"), "--predict must be positive batch sizes"),
        ("lr,loss\n0.1,2\n", ("--html", "page.pdf"), "--html must name a file"),
    ],
)
def test_bad_input_is_one_sentence(run, tmp_path, text, options, says):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    ran = run("scale", path, *options)
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.strip().splitlines()) == 1
    assert re.search(says, ran.err), ran.err


def test_a_file_that_is_not_there_and_one_of_another_kind(run, tmp_path):
    for path in (tmp_path / "none.csv", tmp_path / "table.xls"):
        if path.suffix == ".xls":
            path.write_bytes(b"\x00\x01")
        ran = run("scale", path)
        assert (ran.code, ran.out) == (2, "")
        assert str(path) in ran.err.replace("\n", "")


def test_the_terminal_shows_the_curve_the_law_and_the_next_run(run, tmp_path):
    ran = run("scale", (planted(tmp_path / "sweep.csv")), "--predict", "512")
    assert ran.code == 0
    assert "▁" in ran.out
    assert "square-root" in ran.out
    assert "At batch size 512" in ran.out


@pytest.mark.skipif(not TABLES, reason=f"the shared tables are not at {SHARED}")
@pytest.mark.parametrize("path", TABLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_tables_of_others_read_out_of_the_box(scale, tmp_path, path):
    page = tmp_path / "page.html"
    document = scale(path, "--html", str(page))
    assert document["groups"]
    text = page.read_text(encoding="utf-8")
    assert "data-chart" in text
    assert "NaN" not in text.partition('id="payload">')[2].partition("</script>")[0]
