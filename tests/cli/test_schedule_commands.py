"""The commands schedule, refine, transfer and forecast: output, files, exit codes."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from lrscope.cli.main import app
from lrscope.errors import InvalidInput

RUNNER = CliRunner()


def run_json(*arguments):
    result = RUNNER.invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    return json.loads(result.stdout)


def write_log(path, **columns):
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(str(value) for value in row) for row in rows)]) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    step = np.arange(0, 5000, 50)
    generator = np.random.default_rng(0)
    for name, lr in {
        "constant": np.full(step.size, 0.1),
        "cosine": 0.05 * (1 + np.cos(np.pi * step / 5000)),
        "drop": np.where(step < 2000, 0.1, 0.02),
    }.items():
        area = np.cumsum(lr) * 50
        loss = 2 + 3 * (area + 5) ** -0.4 - 1.5 * (0.1 - lr) + 1e-3 * generator.normal(size=step.size)
        write_log(folder / f"{name}.csv", step=step, lr=lr, loss=loss, grad_norm=1 + 4 * np.exp(-step / 300))
    return folder


def test_schedule_reports_rates_and_ranking():
    document = run_json("schedule", "warmup(5%) -> cosine", "linear", "--total-steps", "1000", "--peak-lr", "0.1")
    assert document["schema"] == "lrscope/schedule/1"
    first, second = document["schedules"]
    assert first["highest_lr"] == pytest.approx(0.1)
    assert second["first_lr"] == pytest.approx(0.1)
    assert document["ranking"][0]["text"] == "linear"


def test_schedule_takes_epochs_and_tokens():
    run = ["--epochs", "100", "--examples", "1281167", "--batch-size", "256", "--peak-lr", "0.1"]
    document = run_json("schedule", "multistep(30 epochs, 60 epochs, 90 epochs)", *run)
    assert document["total_steps"] == 100 * (1281167 // 256)
    assert document["schedules"][0]["last_lr"] == pytest.approx(0.0001)
    tokens = ["--tokens", "1e9", "--batch-size", "64", "--sequence-length", "1024", "--accumulation-steps", "2"]
    assert run_json("schedule", "warmup(1e7 tokens) -> cosine", *tokens)["total_steps"] == 10**9 // (2 * 64 * 1024)


def test_schedule_in_the_terminal_shows_its_picture():
    result = RUNNER.invoke(app, ["schedule", "cosine", "linear", "--total-steps", "100"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "cosine" in result.stdout
    assert any(0x2800 < ord(character) < 0x2900 for character in result.stdout)


def test_schedule_writes_every_step_as_csv(tmp_path):
    out = tmp_path / "lr.csv"
    RUNNER.invoke(
        app, ["schedule", "linear", "--total-steps", "5", "--peak-lr", "2", "--out", str(out)], catch_exceptions=False
    )
    assert out.read_text().splitlines() == ["step,lr", "0,2.0", "1,1.5", "2,1.0", "3,0.5", "4,0.0"]


@pytest.mark.parametrize("suffix", ["png", "svg", "html", "json"])
def test_schedule_writes_pictures_and_json(tmp_path, suffix):
    out = tmp_path / f"lr.{suffix}"
    result = RUNNER.invoke(
        app, ["schedule", "cosine", "--total-steps", "50", "--out", str(out)], catch_exceptions=False
    )
    assert result.exit_code == 0
    assert out.stat().st_size > 500


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["schedule", "cosine", "--total-steps", "0"], "--total-steps"),
        (["schedule", "cosine"], "has no length: give --total-steps"),
        (["schedule", "cosine", "--epochs", "3"], "needs examples, too"),
        (["schedule", "warmup(3 epochs) -> cosine", "--total-steps", "9"], "needs examples, too"),
        (["schedule", "cosine", "--total-steps", "10", "--peak-lr", "-1"], "peak"),
        (["schedule", "cosine", "--total-steps", "10", "--out", "x.bmp"], "x.bmp"),
        (["schedule", "cosine", "--total-steps", "10", "--out", "/no/such/folder/x.png"], "no folder"),
        (["schedule", "nonsense", "--total-steps", "10"], "nonsense"),
        (["transfer", "--from", "cosine", "--to", "linear", "--lr", "0"], "0"),
        (["transfer", "--from", "cosine", "--to", "constant(factor=0)", "--lr", "1"], "zero at every update"),
        (["refine", "no-such-file.csv"], "no-such-file"),
        (["forecast", "no-such-file.csv", "--schedule", "cosine"], "no-such-file"),
    ],
)
def test_bad_input_is_one_sentence(arguments, names):
    with pytest.raises(InvalidInput, match=names) as raised:
        RUNNER.invoke(app, arguments, catch_exceptions=False)
    assert raised.value.exit_code == 2


def test_transfer_follows_the_bound():
    document = run_json("transfer", "--from", "constant", "--to", "linear", "--lr", "0.01", "--total-steps", "1000")
    assert document["schema"] == "lrscope/transfer/1"
    assert document["factor"] == pytest.approx(2.90, abs=0.01)
    assert document["peak_lr"]["low"] <= document["peak_lr"]["value"] <= document["peak_lr"]["high"]


@pytest.mark.parametrize(
    ("source", "factor", "bound"),
    [("linear(end_at=total)", 1.0, 1.0), ("wsd(decay=20%, end_at=total)", 1.95, 1 / 1.083)],
)
def test_transfer_gives_the_published_factors(source, factor, bound):
    arguments = ["--from", source, "--to", "linear(end_at=total)", "--lr", "1", "--total-steps", "1000"]
    document = run_json("transfer", *arguments)
    assert document["factor"] == pytest.approx(factor, abs=0.01)
    assert document["relative_bound"] == pytest.approx(bound, abs=0.001)


def test_transfer_to_a_longer_run():
    lengths = ["--total-steps", "1000000", "--to-total-steps", "4000000"]
    document = run_json("transfer", "--from", "linear", "--to", "linear", "--lr", "1", *lengths)
    assert document["factor"] == pytest.approx(0.5, abs=0.01)


def test_refine_reads_a_log_and_writes_a_table(logs, tmp_path):
    out = tmp_path / "refined.csv"
    document = run_json("refine", str(logs / "constant.csv"), "--out", str(out))
    assert document["schema"] == "lrscope/refine/1"
    assert 0.1 < document["warmup_share"] < 0.6
    assert max(document["schedule"]["share"]) == 1
    assert out.read_text().startswith("step,share\n")
    result = RUNNER.invoke(app, ["refine", str(logs / "constant.csv")], catch_exceptions=False)
    assert "warm-up" in result.stdout


def test_refine_asks_which_run_of_several(logs):
    with pytest.raises(InvalidInput, match="--run"):
        RUNNER.invoke(app, ["refine", str(logs)], catch_exceptions=False)
    assert run_json("refine", str(logs), "--run", "cosine", "--optimizer", "adam")["optimizer"] == "adam"


def test_forecast_learns_from_logs_and_scores_what_is_kept_out(logs, tmp_path):
    out = tmp_path / "forecast.svg"
    document = run_json(
        "forecast", str(logs), "--schedule", "linear", "--total-steps", "5000", "--held-out", "drop", "--out", str(out)
    )
    assert document["schema"] == "lrscope/forecast/1"
    assert document["final"]["low"] < document["final"]["value"] < document["final"]["high"]
    assert document["law"]["runs"] == ["constant", "cosine"]
    assert document["held_out"][0]["name"] == "drop"
    assert "<svg" in out.read_text()
    result = RUNNER.invoke(
        app, ["forecast", str(logs), "--schedule", "linear", "--law", "annealing"], catch_exceptions=False
    )
    assert "Final loss under linear" in result.stdout
