"""The bundled tasks: real data, models that learn, and a sentence where the data are not there."""

from __future__ import annotations

import gzip
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from lrscope.errors import InvalidTask, MissingExtra
from lrscope.study.bench import Bench
from lrscope.study.check import check_task
from lrscope.study.engines.base import make_engine
from lrscope.study.load import load_file_task
from lrscope.study.task import Task
from lrscope.study.trial import Trial
from lrscope.tasks import BUNDLED
from lrscope.tasks.fashion_mnist import FOLDER_VARIABLE, fashion_mnist

HERE = ("digits", "digits-adamw", "pydoc-text")
RATES = {"digits": 0.05, "digits-adamw": 0.003, "pydoc-text": 0.003}


def made(name: str) -> Task:
    return load_file_task(BUNDLED[name].reference)


def test_they_are_four_and_each_has_a_description() -> None:
    assert list(BUNDLED) == ["digits", "digits-adamw", "pydoc-text", "fashion-mnist"]
    assert all(len(task.description) > 20 for task in BUNDLED.values())


@pytest.mark.parametrize("name", HERE)
def test_a_task_is_called_as_it_is_listed_and_trains(name: str) -> None:
    task = made(name)
    assert task.name == name
    assert task.batch_sizes == (16, 64, 256)
    bench = Bench(task)
    check_task(bench, 256)
    trial = Trial(batch_size=64, peak_lr=RATES[name], schedule="constant", seed=0, total_steps=60, stop_at=60)
    (result,) = make_engine("loop").train(bench, [trial])
    assert result.val_loss is not None
    assert result.val_loss < 0.9 * result.initial_loss("val_loss")
    assert set(result.metrics) == set(task.metrics)


@pytest.mark.parametrize("name", HERE)
def test_nothing_is_both_trained_on_and_held_out(name: str) -> None:
    task = made(name)
    seen, held_out = ({row.tobytes() for row in part[0].flatten(1).numpy()} for part in (task.train, task.validation))
    assert len(seen & held_out) <= 0.1 * len(held_out)  # blank lines and set phrases come again in any text


def test_the_digits_are_all_there() -> None:
    task = made("digits")
    assert len(task.train[0]) + len(task.validation[0]) == 1797
    assert task.train[0].shape[1:] == (1, 8, 8)
    assert set(task.train[1].tolist()) == set(range(10))
    assert float(task.train[0].max()) == 1.0


def test_the_text_is_english() -> None:
    task = made("pydoc-text")
    windows, following = task.train
    assert windows.shape == (24_000, 16)
    text = "".join(chr(code + 31) if code else "\n" for code in windows[:400].flatten().tolist())
    assert "the" in text
    assert math.isclose(float((windows == 1).float().mean()), 0.2, abs_tol=0.1)  # spaces
    assert int(following.max()) < 96


def write_idx(folder: Path, name: str, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(size).to_bytes(4, "big") for size in array.shape)
    (folder / name).write_bytes(gzip.compress(header + array.tobytes()))


def test_fashion_mnist_is_read_from_a_folder_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.arange(5 * 28 * 28, dtype=np.uint64).reshape(5, 28, 28).astype(np.uint8)
    for part, count in (("train", 5), ("t10k", 3)):
        write_idx(tmp_path, f"{part}-images-idx3-ubyte.gz", images[:count])
        write_idx(tmp_path, f"{part}-labels-idx1-ubyte.gz", np.arange(count, dtype=np.uint8))
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    task = fashion_mnist()
    assert task.train[0].shape == (5, 1, 28, 28)
    assert task.validation[1].tolist() == [0, 1, 2]
    assert np.array_equal((task.train[0][4, 0] * 255).round().numpy(), images[4])
    check_task(Bench(task), 4)


def test_where_fashion_mnist_is_not_one_sentence_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(InvalidTask) as caught:
        fashion_mnist()
    assert str(caught.value) == (
        f"Fashion-MNIST is not in '{tmp_path}': install Debian's package dataset-fashion-mnist, or name a folder with "
        f"its four .gz files in the environment variable {FOLDER_VARIABLE}."
    )
    for part in ("train", "t10k"):
        for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"):
            (tmp_path / f"{part}-{kind}.gz").write_bytes(b"not gzip")
    with pytest.raises(InvalidTask, match=r"'.*train-images-idx3-ubyte.gz' is not a gzipped IDX file"):
        fashion_mnist()


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtra, match=r"This needs scikit-learn.*lrscope\[study\]"):
        made("digits")
