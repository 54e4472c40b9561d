"""A run's hyperparameters, as text by name, as facts."""

from __future__ import annotations

from collections.abc import Mapping

from lrscope.curves.readers import names
from lrscope.curves.readers.column import to_number
from lrscope.curves.readers.record import Facts


def facts_from(settings: Mapping[str, object]) -> Facts:
    """What hyperparameters say of the learning rate, batch size, optimizer and length of a run.

    >>> facts_from({"learning_rate": "0.1", "batch_size": 64, "optimizer": "sgd", "layers": 3})
    Facts(lr=0.1, batch_size=64, optimizer='sgd', total_steps=None)
    """
    rates = sorted((rank, name) for name in settings if (rank := names.lr_rank(name)) is not None)
    sizes = [name for name in settings if names.is_batch_size(name)]
    totals = [name for name in settings if names.is_total_steps(name)]
    words = [name for name in settings if names.is_optimizer(name)]
    lr = next((v for _, name in rates if (v := _number(settings[name])) is not None), None)
    return Facts(
        lr=lr,
        batch_size=next((int(v) for name in sizes if (v := _number(settings[name])) is not None and v >= 1), None),
        total_steps=next((int(v) for name in totals if (v := _number(settings[name])) is not None and v >= 1), None),
        optimizer=next((str(settings[name]) for name in words), None),
    )


def _number(value: object) -> float | None:
    try:
        number = to_number(value)
    except ValueError:
        return None
    return number if number is not None and abs(number) < 2**62 else None
