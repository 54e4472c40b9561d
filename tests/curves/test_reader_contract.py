"""One contract for every format, on files that the real libraries wrote (fixtures/VERSIONS names them)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrscope.curves.curve import Curve
from lrscope.curves.readers import read_curves
from lrscope.errors import InvalidInput

FIXTURES = Path(__file__).parent / "fixtures"
FORMATS = sorted(path.parent.name for path in FIXTURES.glob("*/expected.json"))
EXPECTED = {name: json.loads((FIXTURES / name / "expected.json").read_text()) for name in FORMATS}
CASES = [(name, file) for name in FORMATS for file in EXPECTED[name]]
FILES = [(name, file) for name, file in CASES if (FIXTURES / name / file).is_file()] + [
    (name, path.relative_to(FIXTURES / name).as_posix())
    for name in FORMATS
    for path in sorted((FIXTURES / name).rglob("*tfevents*"))
]
SINGLE = ("tensorboard", "tensorboardx", "tensorboard_tensors", "lightning", "keras", "lrscope")
"""What keeps 32-bit floats."""


def _close(found: np.ndarray | None, wanted: list[float], single: bool) -> bool:
    return found is not None and np.allclose(found, wanted, rtol=1e-6 if single else 1e-9, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize(("name", "file"), CASES)
def test_what_was_logged_is_read(name: str, file: str) -> None:
    single = name in SINGLE
    path = FIXTURES / name / file
    curves = read_curves(path)
    wanted = EXPECTED[name][file]
    names = [curve.name for curve in curves]
    assert names == ["run" if file == "run" else run["name"] for run in wanted]
    for curve, run in zip(curves, wanted, strict=True):
        assert curve.step.tolist() == list(run["step"])
        assert _close(curve.loss, run["loss"], single)
        for series in ("val_loss", "grad_norm"):
            if series in run:
                assert _close(getattr(curve, series), run[series], single)
        if "val_step" in run:
            assert curve.val_step is not None
            assert curve.val_step.tolist() == list(run["val_step"])
        if "lr" in run:
            assert curve.lr is not None
            given = ~np.isnan(curve.lr)
            assert given.mean() > 0.9
            assert _close(curve.lr[given], np.array(run["lr"])[given].tolist(), single)
        for fact in ("batch_size", "optimizer", "total_steps"):
            if fact in run:
                assert getattr(curve, fact) == run[fact]


@pytest.mark.parametrize(("name", "file"), CASES)
def test_reading_leaves_no_trace_and_is_repeatable(name: str, file: str, tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / name, tmp_path / name)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    first, second = read_curves(tmp_path / name / file), read_curves(tmp_path / name / file)
    assert [c.name for c in first] == [c.name for c in second]
    assert all(np.array_equal(a.loss, b.loss, equal_nan=True) for a, b in zip(first, second, strict=True))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", FORMATS)
def test_a_folder_is_walked_and_names_are_paths(name: str, tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / name, tmp_path / "all" / "team" / name)
    (tmp_path / "all" / "notes.txt").write_text("nothing to see")
    (tmp_path / "all" / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    curves = read_curves(tmp_path / "all")
    assert curves
    assert all(curve.name.startswith(f"team/{name}/") for curve in curves)
    assert len({curve.name for curve in curves}) == len(curves)


def _refusal(path: Path) -> str | None:
    """Why a file is not read; None where it is."""
    try:
        read_curves(path)
    except InvalidInput as error:
        return str(error)
    return None


def _is_part_of(part: Curve, whole: Curve, *, last_may_be_cut: bool) -> bool:
    """Whether every step of a curve that was read from a cut file has the value that the whole file gives it."""
    shared = np.isin(part.step, whole.step)
    if not shared.all():
        return last_may_be_cut and not shared[-1] and shared[:-1].all()
    values = whole.loss[np.searchsorted(whole.step, part.step)]
    same = np.isclose(part.loss, values, rtol=1e-12, atol=0, equal_nan=True)
    return bool(same.all() or (last_may_be_cut and same[:-1].all()))


@pytest.mark.parametrize(("name", "file"), FILES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1))
def test_a_cut_file_keeps_its_whole_records(name: str, file: str, share: float, tmp_path: Path) -> None:
    data = (FIXTURES / name / file).read_bytes()
    path = tmp_path / Path(file).name
    path.write_bytes(data)
    whole = {curve.name: curve for curve in read_curves(path)}
    path.write_bytes(data[: int(share * len(data))])
    refusal = _refusal(path)
    if refusal is not None:
        assert path.name in refusal
        return
    curves = read_curves(path)
    # in a table of text only a longer number tells that the last one is cut
    text = path.suffix in (".csv", ".tsv")
    for curve in curves:
        assert _is_part_of(curve, whole.get(curve.name, next(iter(whole.values()))), last_may_be_cut=text)


@pytest.mark.parametrize(("name", "file"), FILES)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(name: str, file: str, data: st.DataObject, tmp_path: Path) -> None:
    content = bytearray((FIXTURES / name / file).read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / Path(file).name
    path.write_bytes(bytes(content))
    try:
        curves = read_curves(path)
    except InvalidInput:
        return
    assert all(len(curve) for curve in curves)


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl", ".wandb", ".db", ".log", ".tfevents.1", ""])
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode()))
def test_anything_else_is_refused_in_one_sentence(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"junk{suffix}"
    path.write_bytes(content)
    refusal = _refusal(path)
    assert refusal is None or (path.name in refusal and "Accepted are" in refusal and "\n" not in refusal)


@pytest.mark.parametrize("name", FORMATS)
def test_fixtures_are_small_and_neutral(name: str) -> None:
    for path in (FIXTURES / name).rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert len(content) < 100_000
            assert not any(word in content for word in (b"/tmp", b"/root", b"/home", b"/Users"))
