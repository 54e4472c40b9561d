"""Keras on lrscope's schedules: each backend in a process of its own, for Keras takes one backend a process."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

TRAINING = """
import numpy as np, keras
from lrscope.integrations.keras import KerasSchedule
from lrscope.schedules.text import parse_schedule

schedule = parse_schedule("warmup(10%) -> cosine", total_steps=40)
kept = KerasSchedule(schedule, peak_lr=0.2)
for step in range(45):
    got = float(keras.ops.convert_to_numpy(kept(step)))
    assert abs(got - 0.2 * schedule(step)) <= 1e-6 * abs(0.2 * schedule(step)), (step, got)

saved = keras.saving.serialize_keras_object(kept)
again = keras.saving.deserialize_keras_object(saved)
assert isinstance(again, KerasSchedule) and again.schedule == schedule and again.peak_lr == 0.2

inputs = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
targets = inputs.sum(1, keepdims=True)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
optimizer = keras.optimizers.SGD(learning_rate=kept)
model.compile(optimizer=optimizer, loss="mse")
history = model.fit(inputs, targets, batch_size=16, epochs=10, verbose=0).history["loss"]
assert history[-1] < 0.01 * history[0], history
rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
assert rate == float(keras.ops.convert_to_numpy(kept(40)))
again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
assert again.get_config() == optimizer.get_config()
print("trained")
"""


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_trains_and_survives_serialisation(backend: str) -> None:
    for package in ("keras", backend):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: the Keras schedule is not tested on the {backend} backend")
    environment = {**os.environ, "KERAS_BACKEND": backend, "OMP_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, "-c", TRAINING], env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.endswith("trained\n")
