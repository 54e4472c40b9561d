"""The package's face: few names, light to import, every one of them there."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

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
