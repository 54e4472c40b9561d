"""Optax: the traced schedule equals the float64 one to 1e-6, for every family, at every step; and trains."""

from __future__ import annotations

import numpy as np
import pytest

from lrscope.errors import InvalidInput
from lrscope.schedules.text import parse_schedule

jax = pytest.importorskip("jax", reason="JAX is not installed: the Optax schedule is not tested")
optax = pytest.importorskip("optax", reason="Optax is not installed: its schedule is not tested")

from lrscope.integrations.optax import OptaxSchedule  # noqa: E402

jnp = jax.numpy
TOTAL = 3000
KINDS = [
    "constant",
    "step(700, 0.1)",
    "multistep(500, 1100, 1700)",
    "exponential(0.999)",
    "linear",
    "cosine",
    "restarts(350)",
    "polynomial(power=2)",
    "inverse_sqrt(400)",
    "inverse_time(40)",
    "wsd(warmup=400, decay=600)",
    "one_cycle",
    "cyclic(150)",
    "rex",
    "warmup(5%) -> cosine",
    "warmup(3) -> constant(900) -> restarts(200)",
]


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_schedule_under_jit_at_every_step(kind: str) -> None:
    schedule = parse_schedule(kind, total_steps=TOTAL)
    traced = jax.jit(OptaxSchedule(schedule, peak_lr=0.3, total_steps=TOTAL))
    steps = np.arange(TOTAL + 1)
    expected = 0.3 * schedule(steps)
    got = np.asarray(traced(jnp.asarray(steps)), np.float64)
    assert traced(3).dtype == jnp.float32
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=0)
    for step in (0, 3, 499, 500, TOTAL - 1, TOTAL):
        assert float(traced(step)) == pytest.approx(expected[step], rel=1e-6)


def test_horizon_free_schedules_hold_for_every_int32_count() -> None:
    schedule = parse_schedule("warmup(1000) -> inverse_sqrt(1000)", total_steps=10**9)
    traced = jax.jit(OptaxSchedule(schedule))
    steps = np.unique(np.geomspace(1, 2**31 - 1, 5000).astype(np.int64))
    np.testing.assert_allclose(np.asarray(traced(steps.astype(np.int32)), np.float64), schedule(steps), rtol=1e-6)


def test_endless_cycles_need_the_length_of_the_run() -> None:
    with pytest.raises(InvalidInput, match="give 'total_steps'"):
        OptaxSchedule(parse_schedule("cyclic(5)", total_steps=20))


def test_trains_with_optax_under_jit_at_the_right_rates() -> None:
    schedule = parse_schedule("warmup(10%) -> cosine", total_steps=50)
    optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=OptaxSchedule(schedule, peak_lr=0.1), momentum=0.9)
    inputs = jax.random.normal(jax.random.key(0), (64, 4))
    targets = inputs.sum(1)

    def loss(weights: jax.Array) -> jax.Array:
        return jnp.mean((inputs @ weights - targets) ** 2)

    @jax.jit
    def update(weights: jax.Array, state: object) -> tuple[jax.Array, object]:
        updates, state = optimizer.update(jax.grad(loss)(weights), state)
        return optax.apply_updates(weights, updates), state

    weights = jnp.zeros(4)
    state = optimizer.init(weights)
    rates = []
    for _ in range(50):
        weights, state = update(weights, state)
        rates.append(float(state.hyperparams["learning_rate"]))
    np.testing.assert_allclose(rates, 0.1 * schedule(np.arange(50)), rtol=1e-6)
    assert float(loss(weights)) < 0.01 * float(loss(jnp.zeros(4)))
