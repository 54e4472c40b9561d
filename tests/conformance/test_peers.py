"""The installed frameworks against lrscope, on random parameters and modes of every schedule."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from peers import run
from random_cases import MAKERS, random_case
from resolve import PEERS, resolve

CASES_EACH = 12
NAMES = [(peer, name) for peer in ("torch", "transformers", "optax", "timm") for name in MAKERS[peer]]


def worst_error(case: dict[str, Any], expected: list[float]) -> float:
    """The largest difference from the peer, relative to its largest value."""
    value = resolve(case)
    largest = max(abs(one) for one in expected) or 1.0
    return max(abs(value(step) - one) for step, one in zip(case["steps"], expected, strict=True)) / largest


@pytest.mark.parametrize(("peer", "name"), NAMES)
def test_installed_peer_agrees(peer: str, name: str) -> None:
    if importlib.util.find_spec(peer) is None:
        pytest.skip(f"{peer} is not installed: lrscope is not compared with its {name}")
    compared = 0
    for seed in range(CASES_EACH):
        case = random_case(peer, name, seed)
        expected = run(case)
        if min(expected) < 0:  # a chain around a cosine with a floor can drive torch's rate below zero
            continue
        assert worst_error(case, expected) <= 1e-12, case["params"]
        compared += 1
    assert compared >= CASES_EACH // 2


KERAS = """
import json, sys
import keras
keras.config.set_floatx("float64")
from peers import run
print(json.dumps([run(case) for case in json.load(sys.stdin)]))
"""


def test_installed_keras_agrees() -> None:
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed: lrscope is not compared with its schedules")
    cases = [random_case("keras", name, seed) for name in MAKERS["keras"] for seed in range(CASES_EACH)]
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    environment = os.environ | {"KERAS_BACKEND": "torch", "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, "-c", KERAS], input=json.dumps(cases), env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout.splitlines()[-1])
    assert len(values) == len(cases)
    for case, expected in zip(cases, values, strict=True):
        assert worst_error(case, expected) <= 1e-12, (case["name"], case["params"])


def test_every_schedule_that_can_be_resolved_has_random_cases() -> None:
    for peer, makers in MAKERS.items():
        assert set(makers) >= set(PEERS[peer]) - {"LambdaLR.noam"}
