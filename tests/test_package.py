"""The package's face: few names, light to import, every one of them there."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

import lrscope

HEAVY = ("torch", "scipy", "altair", "rich", "typer", "ray", "sklearn", "pyarrow", "jax", "keras", "transformers")


def test_importing_lrscope_loads_numpy_only() -> None:
    code = "import json, sys, lrscope; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    bare = "import json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    loaded, before = (
        set(json.loads(subprocess.run([sys.executable, "-c", text], capture_output=True, check=True).stdout))
        for text in (code, bare)
    )
    outside = {name for name in loaded - before if name not in sys.stdlib_module_names}
    assert outside <= {"lrscope", "numpy"}
    assert not outside & set(HEAVY)


def test_the_public_names_are_few_and_all_there() -> None:
    assert lrscope.__all__ == sorted(lrscope.__all__)
    assert 1 <= len(lrscope.__all__) <= 20
    assert dir(lrscope) == lrscope.__all__
    for name in lrscope.__all__:
        assert getattr(lrscope, name).__name__ == name


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        lrscope.nothing  # noqa: B018


def test_a_curve_takes_plain_lists_and_arrays_of_any_kind() -> None:
    losses = [2.0 / (1 + i / 20) for i in range(100)]
    kinds = (list, np.array, lambda row: np.array(row, dtype=np.float32), torch.tensor, tuple)
    found = [lrscope.diagnose(lrscope.Curve(name="a", step=range(100), loss=kind(losses))) for kind in kinds]
    assert {verdict.regime for verdict in found} == {found[0].regime}


@pytest.mark.parametrize(
    ("series", "sentence"),
    [
        ({"step": [0.5, 1.5], "loss": [1, 2]}, "The 'step' of curve 'a' must be .* whole numbers"),
        ({"step": [0, float("nan")], "loss": [1, 2]}, "The 'step' of curve 'a' must be .* whole numbers"),
        ({"step": [0, 2**70], "loss": [1, 2]}, "The 'step' of curve 'a' must be .* whole numbers"),
        ({"step": [0, 1], "loss": ["x", "y"]}, "The 'loss' of curve 'a' must be .* numbers"),
        ({"step": [0, 1], "loss": torch.ones(2, requires_grad=True)}, "The 'loss' of curve 'a' .*tolist"),
        ({"step": [0, 1], "loss": [1, 2], "val_loss": [1]}, "both 'val_step' and 'val_loss'"),
    ],
)
def test_a_curve_refuses_what_is_no_series(series: dict[str, Any], sentence: str) -> None:
    with pytest.raises(lrscope.LrscopeError, match=sentence):
        lrscope.Curve(name="a", **series)


@pytest.mark.parametrize("name", ["lr", "grad_norm", "update_ratio", "alpha", "gradient_cosine", "sharpness"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0, 1e308])
def test_a_series_of_any_numbers_is_judged_without_a_warning(name: str, value: float) -> None:
    series = {"lr": np.full(100, 0.1), "grad_norm": np.ones(100), name: np.full(100, value)}
    losses = 2.0 / (1 + np.arange(100) / 20)
    verdict = lrscope.diagnose(lrscope.Curve(name="a", step=np.arange(100), loss=losses, **series))
    assert sum(verdict.probabilities.values()) == pytest.approx(1.0)


def test_a_law_of_optima_without_intervals_is_refused() -> None:
    with pytest.raises(lrscope.LrscopeError, match=r"must be an Estimate, a value with its interval\. Got 0\.01"):
        lrscope.fit_batch_law([16, 64], [0.01, 0.02])  # type: ignore[list-item]
