"""Logs as people have them: whole records are kept, and what was left out or mended is said in the notes."""

from __future__ import annotations

import gzip
import json
import math
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from lrscope.curves.curve import Curve
from lrscope.curves.readers import read_curves
from lrscope.errors import InvalidInput


def read_one(path: Path, text: str) -> Curve:
    path.write_text(text, encoding="utf-8")
    (curve,) = read_curves(path)
    return curve


def said(curve: Curve, words: str) -> bool:
    return any(words in note for note in curve.notes)


@pytest.mark.parametrize(
    ("spelling", "value"),
    [
        ("nan", math.nan), ("NaN", math.nan), ("NAN", math.nan), ("-nan", math.nan), ("-nan(ind)", math.nan),
        ("1.#QNAN", math.nan), ("inf", math.inf), ("Infinity", math.inf), ("-Infinity", -math.inf),
        ("1.#INF", math.inf), ("+inf", math.inf), ("tensor(nan)", math.nan), ("∞", math.inf), ("1e999", math.inf),
    ],
)  # fmt: skip
def test_every_spelling_of_nan_and_infinity(spelling: str, value: float, tmp_path: Path) -> None:
    curve = read_one(tmp_path / "log.csv", f"step,loss\n0,2.5\n1,{spelling}\n2,2.0\n")
    np.testing.assert_array_equal(curve.loss, [2.5, value, 2.0])


@pytest.mark.parametrize("spelling", ["NaN", "nan", "Infinity", "-inf", "1.#INF", '"NaN"'])
def test_nan_and_infinity_in_json_lines(spelling: str, tmp_path: Path) -> None:
    curve = read_one(tmp_path / "log.jsonl", f'{{"step": 0, "loss": 2.5}}\n{{"step": 1, "loss": {spelling}}}\n')
    assert curve.step.tolist() == [0, 1]
    assert not math.isfinite(curve.loss[1])


def test_only_an_end_of_line_ends_a_json_line(tmp_path: Path) -> None:
    rows = [{"step": k, "loss": 2.0 - k, "sample": "one\u2028two\x85three"} for k in range(2)]
    curve = read_one(tmp_path / "log.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in rows))
    assert curve.loss.tolist() == [2.0, 1.0]
    assert curve.notes == ()


def test_a_diverged_cell_left_empty_is_nan(tmp_path: Path) -> None:
    curve = read_one(tmp_path / "log.csv", "step,loss,lr\n0,2.5,0.1\n1,2.0,0.1\n2,,0.1\n3,,0.1\n")
    np.testing.assert_array_equal(curve.loss, [2.5, 2.0, math.nan, math.nan])
    assert said(curve, "2 empty cells of 'loss' are read as NaN")


def test_a_torn_tail(tmp_path: Path) -> None:
    curve = read_one(tmp_path / "log.csv", "step,loss,lr\n0,2.50,0.1\n1,2.25,0.1\n2,2.")
    assert curve.step.tolist() == [0, 1]
    assert said(curve, "the last line is cut off and is left out")
    curve = read_one(tmp_path / "log.jsonl", '{"step": 0, "loss": 2.5}\n{"step": 1, "loss": 2.2}\n{"step": 2, "lo')
    assert curve.step.tolist() == [0, 1]
    assert said(curve, "the last line is cut off and is left out")


def test_steps_out_of_order_and_written_again(tmp_path: Path) -> None:
    curve = read_one(tmp_path / "log.csv", "step,loss\n0,5\n2,3\n1,4\n3,2\n3,1\n")
    assert curve.step.tolist() == [0, 1, 2, 3]
    assert curve.loss.tolist() == [5, 4, 3, 1]
    assert said(curve, "written again: the last value counts")


def test_a_restarted_run_goes_on_from_where_it_began_anew(tmp_path: Path) -> None:
    first = "".join(f"{k},{10 - k}\n" for k in range(8))
    second = "".join(f"{k},{20 - k}\n" for k in range(5, 12))
    curve = read_one(tmp_path / "log.csv", "step,loss\n" + first + second)
    assert curve.step.tolist() == list(range(12))
    assert curve.loss[4:7].tolist() == [6, 15, 14]
    assert said(curve, "restarted 1 time: 3 values of the loss from before are left out")


def test_training_and_validation_in_rows_of_their_own(tmp_path: Path) -> None:
    rows = "0,train,2.5\n0,val,2.6\n1,train,2.0\n1,val,2.2\n"
    curve = read_one(tmp_path / "log.csv", "step,split,loss\n" + rows)
    assert curve.loss.tolist() == [2.5, 2.0]
    assert curve.val_loss is not None
    assert curve.val_loss.tolist() == [2.6, 2.2]


def test_rows_without_a_whole_line_or_a_number_are_counted(tmp_path: Path) -> None:
    curve = read_one(tmp_path / "log.csv", "step,loss\n0,2.5\n1\n2,oops\n3,2.0\nstep,loss\n4,1.9\n")
    assert curve.step.tolist() == [0, 3, 4]
    assert said(curve, "1 rows do not have 2 cells")
    assert said(curve, "1 cells of 'loss' are no numbers")
    assert said(curve, "the header comes 2 times")


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("Iteration;Train Loss;Learning Rate", "{};{};0.1"),
        ("iter\ttraining_loss\tlr", "{}\t{}\t0.1"),
        ("global_step,train/loss,train/learning_rate", "{},{},0.1"),
        ("epoch,loss,learning_rate", "{},{},0.1"),
        ("Wall time,Step,Value", "1.7e9,{},{}"),  # the export of TensorBoard's page
    ],
)
def test_column_names_in_use(header: str, row: str, tmp_path: Path) -> None:
    text = "\n".join([header, *(row.format(k, 2.5 - k / 10) for k in range(4))]) + "\n"
    curve = read_one(tmp_path / "log.csv", text)
    assert curve.step.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(curve.loss, [2.5, 2.4, 2.3, 2.2])
    if "rate" in header.lower() or "lr" in header:
        np.testing.assert_array_equal(curve.lr, [0.1] * 4)


def test_charts_exported_from_wandb(tmp_path: Path) -> None:
    header = (
        '"Step","fast - loss","fast - loss__MIN","fast - loss__MAX","slow - loss","slow - loss__MIN","slow - loss__MAX"'
    )
    rows = [f'"{k}","{2 - k / 8}","0","9","{2 - k / 16}","0","9"' for k in range(4)]
    path = tmp_path / "export.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    curves = {curve.name: curve.loss.tolist() for curve in read_curves(path)}
    assert curves == {"export/fast": [2.0, 1.875, 1.75, 1.625], "export/slow": [2.0, 1.9375, 1.875, 1.8125]}


def test_history_exported_from_wandb(tmp_path: Path) -> None:
    rows = ["_step,_runtime,_timestamp,loss,lr", *(f"{k},{k * 0.5},{1.7e9 + k},{2 - k / 8},0.1" for k in range(4))]
    curve = read_one(tmp_path / "history.csv", "\n".join(rows) + "\n")
    assert curve.step.tolist() == [0, 1, 2, 3]
    assert curve.lr is not None
    summary = tmp_path / "wandb-history.jsonl"
    curve = read_one(summary, "".join(json.dumps({"_step": k, "train/loss": 2 - k / 8}) + "\n" for k in range(4)))
    assert curve.loss.tolist() == [2.0, 1.875, 1.75, 1.625]


class _Trap:
    """What a pickle would run on being loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (_spring, ("sprung",))


SPRUNG: list[str] = []


def _spring(word: str) -> None:
    SPRUNG.append(word)


@pytest.mark.parametrize(
    "name", ["log.csv", "log.jsonl", "log.json", "log.pkl", "events.out.tfevents.1", "trainer_state.json"]
)
def test_nothing_is_unpickled_or_executed(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(pickle.dumps({"loss": _Trap()}))
    with pytest.raises(InvalidInput, match="Accepted are"):
        read_curves(path)
    code = "__import__('os').environ.update(SPRUNG='1')"
    (tmp_path / "code.csv").write_text(f'step,loss\n0,"{code}"\n1,"=cmd|calc"\n2,2.0\n3,1.0\n4,0.5\n5,0.2\n')
    (curve,) = read_curves(tmp_path / "code.csv")
    assert curve.loss.tolist() == [2.0, 1.0, 0.5, 0.2]
    assert said(curve, "2 cells of 'loss' are no numbers")
    assert SPRUNG == []
    assert "SPRUNG" not in os.environ


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("deep.json", b"[" * 100_000),
        ("deep.jsonl", b'{"a":' * 100_000 + b"\n"),
        ("bomb.csv", b"step,loss\n" + b"9" * 200_000 + b",1\n"),
        ("zeros.db", b"SQLite format 3\x00" + bytes(4096)),
        ("header.wandb", b":W&B\x00\x00\x00" + b"\xff" * 1000),
        ("length.tfevents.1", b"\xff" * 64),
    ],
)
def test_hostile_files_are_refused_in_one_sentence(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    try:
        curves = read_curves(path)
    except InvalidInput as refusal:
        message = str(refusal)
        assert name in message and "\n" not in message and len(message) < 700  # noqa: PT018
    else:
        assert all(len(curve) for curve in curves)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="There is no file or folder"):
        read_curves(tmp_path / "missing.csv")
    with pytest.raises(InvalidInput, match="No training log was found in the folder"):
        read_curves(tmp_path)
    (tmp_path / "log.csv").write_text("step,accuracy\n0,0.5\n1,0.6\n")
    with pytest.raises(InvalidInput, match="no column of losses among 'step', 'accuracy'"):
        read_curves(tmp_path / "log.csv")


@pytest.mark.parametrize("name", ["bce", "train/nll", "mae", "val_bpb", "train_error", "logloss"])
def test_what_stands_in_for_a_loss(name: str, tmp_path: Path) -> None:
    assert read_one(tmp_path / "log.csv", f"step,{name}\n0,2.5\n1,2.0\n").loss.tolist() == [2.5, 2.0]


def test_of_a_perplexity_the_logarithm_is_the_loss(tmp_path: Path) -> None:
    curve = read_one(tmp_path / "log.csv", f"step,train_ppl\n0,{math.e**2}\n1,{math.e}\n2,inf\n")
    np.testing.assert_allclose(curve.loss, [2.0, 1.0, math.inf])
    assert said(curve, "the loss is the logarithm of 'train_ppl'")
    beside = read_one(tmp_path / "both.csv", "step,perplexity,loss\n0,7.4,2.0\n1,2.7,1.0\n")
    assert beside.loss.tolist() == [2.0, 1.0]


def test_steps_with_their_thousands_grouped(tmp_path: Path) -> None:
    curve = read_one(tmp_path / "log.csv", 'step,loss\n"900",2.5\n"1,000",2.0\n"1,100",1.5\n')
    assert curve.step.tolist() == [900, 1000, 1100]


def test_a_packed_file_that_grows_without_bounds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log.csv.gz").write_bytes(gzip.compress(b"step,loss\n" + b"0,1.0\n" * 1000))
    monkeypatch.setattr("lrscope.curves.readers.read.MOST_UNPACKED_BYTES", 4096)
    with pytest.raises(InvalidInput, match="unpacks to more than"):
        read_curves(tmp_path / "log.csv.gz")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes("step,loss\n0,2.5\n1,2.0\n".encode(encoding))
    assert read_curves(tmp_path / "log.csv")[0].loss.tolist() == [2.5, 2.0]


def test_gzip(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"step,loss\n0,2.5\n1,2.0\n"))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b'{"step": 0, "loss": 3.5}\n{"step": 1, "loss": 3.0}\n'))
    assert [(curve.name, curve.loss[0]) for curve in read_curves(tmp_path)] == [("a", 2.5), ("b", 3.5)]
    assert read_curves(tmp_path / "a.csv.gz")[0].name == "a"
    (tmp_path / "torn.csv.gz").write_bytes(gzip.compress(b"step,loss\n" * 99)[:30])
    with pytest.raises(InvalidInput, match="cannot be unpacked"):
        read_curves(tmp_path / "torn.csv.gz")


LOSSES = [round(2.0 / (1 + k / 10), 4) for k in range(30)]


@pytest.mark.parametrize(
    "line",
    [
        "epoch {epoch} step {step} loss {loss}", "iter {step}: loss {loss}, time 12.34ms, mfu 1.2%",
        "2024-01-01 12:00:00,123 INFO step {step} | loss={loss} | 9.5 tokens/s", "{{'loss': {loss}, 'step': {step}}}",
        " iteration {step}/ 30 | consumed samples: 8 | lm loss: {loss} | number of nan iterations: 0 |",
        "Train Epoch: {epoch} [{step}/32000 (3%)]\tLoss: {loss}", "\x1b[32mstep {step}\x1b[0m train loss {loss} (0.5)",
    ],
)  # fmt: skip
def test_text_as_scripts_print_it(line: str, tmp_path: Path) -> None:
    lines = [line.format(epoch=k // 10, step=k, loss=loss) for k, loss in enumerate(LOSSES)]
    curve = read_one(tmp_path / "train.log", "starting\n" + "\n".join(lines) + "\ndone in 3.5 s\n")
    assert curve.step.tolist() == list(range(30))
    assert curve.loss.tolist() == LOSSES


def test_text_with_validation_lines(tmp_path: Path) -> None:
    text = "".join(
        f"iter {k}: loss {loss}, lr {0.1}\n" + (f"step {k}: val loss {loss + 1}\n" if k % 10 == 0 else "")
        for k, loss in enumerate(LOSSES)
    )
    curve = read_one(tmp_path / "train.txt", text)
    assert curve.loss.tolist() == LOSSES
    assert curve.val_step is not None
    assert curve.val_step.tolist() == [0, 10, 20]
    assert curve.lr is not None
    assert set(curve.lr) == {0.1}


def test_a_text_line_that_is_cut_is_left_out(tmp_path: Path) -> None:
    curve = read_one(
        tmp_path / "train.log", "".join(f"step {k} loss {k + 0.5}\n" for k in range(9)) + "step 9 loss 0.0"
    )
    assert len(curve) == 9
    assert said(curve, "the last line has no end")


@pytest.mark.parametrize("text", ["", "The loss of 3 keys\n" * 9, "torch==2.1\nnumpy>=1.2\n", "loss loss loss\n"])
def test_prose_is_no_log(text: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text(text)
    with pytest.raises(InvalidInput, match="no lines such as"):
        read_curves(tmp_path / "notes.txt")


@pytest.mark.parametrize(
    ("file", "columns", "rates"),
    [
        ("runs.csv", ("lr=0.1", "lr=1e-3"), (0.1, 0.001)), ("runs.csv", ("loss_lr0.1", "loss_lr0.01"), (0.1, 0.01)),
        ("train_loss.csv", ("small", "large"), (None, None)),
    ],
)  # fmt: skip
def test_a_column_for_each_run(
    file: str, columns: tuple[str, ...], rates: tuple[float | None, ...], tmp_path: Path
) -> None:
    rows = "".join(f"{k},{loss},{loss + 1}\n" for k, loss in enumerate(LOSSES))
    (tmp_path / file).write_text(f"step,{','.join(columns)}\n{rows}")
    curves = read_curves(tmp_path / file)
    assert [curve.name.rpartition("/")[2] for curve in curves] == list(columns)
    assert [curve.loss.tolist() for curve in curves] == [LOSSES, [loss + 1 for loss in LOSSES]]
    assert [None if curve.lr is None else curve.lr[0] for curve in curves] == list(rates)


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("runs.csv", "step,a,b\n0,1.5,2\n1,1,2\n", "no column of losses"),
        ("loss.csv", "step,accuracy,time\n0,1.5,2\n1,1,2\n", "no column of losses"),
        ("log.csv", "0,1.5\n1,1.2\n", "its first line has numbers in place of the columns' names"),
    ],
)
def test_columns_that_could_be_anything_are_not_guessed(file: str, text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(InvalidInput, match=says):
        read_curves(tmp_path / file)
