"""Examples that can be indexed: tensors are sliced, Datasets collated, batches pooled. No DataLoader."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import Dataset, default_collate

from lrscope.errors import InvalidTask

MOST_BATCHES = 1_000_000
"""An iterable that gives more is taken to be one without an end."""

Batch = Any  # a tensor, or a tuple, list or dict of batches


class Examples(Protocol):
    """N examples, given out in batches by their indices."""

    def __len__(self) -> int: ...

    def batch(self, indices: torch.Tensor) -> Batch:
        """The examples at `indices`, (B,) int64, as one batch."""
        ...

    def to(self, device: torch.device) -> Examples:
        """The same examples on a device, where they are held in memory."""
        ...


class TensorExamples:
    """A tensor, or a tuple or dict of tensors, with one row an example."""

    def __init__(self, tensors: Batch) -> None:
        self.tensors = tensors
        self._length = len(next(leaves(tensors)))

    def __len__(self) -> int:
        return self._length

    def batch(self, indices: torch.Tensor) -> Batch:
        """Rows picked by `index_select`."""
        return _map(lambda tensor: tensor.index_select(0, indices.to(tensor.device)), self.tensors)

    def to(self, device: torch.device) -> TensorExamples:
        """Every tensor moved to the device once, so that no batch has to travel."""
        return TensorExamples(_map(lambda tensor: tensor.to(device), self.tensors))


class DatasetExamples:
    """A map-style Dataset: items fetched for each batch (they may be augmented) and collated as PyTorch does."""

    def __init__(self, dataset: Dataset[Any], device: torch.device | None = None) -> None:
        self.dataset = dataset
        self.device = device

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def batch(self, indices: torch.Tensor) -> Batch:
        """Items at the indices, through `__getitems__` where the dataset has it."""
        chosen = indices.tolist()
        fetch_many = getattr(self.dataset, "__getitems__", None)
        items = fetch_many(chosen) if fetch_many else [self.dataset[index] for index in chosen]
        return move(default_collate(items), self.device)

    def to(self, device: torch.device) -> DatasetExamples:
        """The same dataset; its batches are moved as they are made."""
        return DatasetExamples(self.dataset, device)


def open_examples(data: Any, place: str) -> Examples:
    """Make examples of whatever a task was given; `place` names it in errors.

    Raises:
        InvalidTask: lengths differ, there is nothing in it, an input is NaN, or it is no data at all.
    """
    if isinstance(data, torch.utils.data.TensorDataset):
        data = data.tensors
    if _is_structure(data):
        _check_tensors(data, place)
        return TensorExamples(tuple(data) if isinstance(data, list) else data)
    parts = data.values() if isinstance(data, Mapping) else data if isinstance(data, (tuple, list)) else [data]
    if any(isinstance(part, np.ndarray) for part in parts):
        raise InvalidTask(f"{_expected(place)} Got NumPy arrays: wrap each in torch.from_numpy.")
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, (Mapping, str)):
        if len(data) == 0:
            raise InvalidTask(f"There must be at least one example in {place}. Got an empty {type(data).__name__}.")
        if not isinstance(data, (list, tuple)):
            return DatasetExamples(data)
    if isinstance(data, Iterable) and not isinstance(data, (str, Mapping)):
        return _pool(data, place)
    raise InvalidTask(f"{_expected(place)} Got {type(data).__name__}.")


def _is_structure(data: Any) -> bool:
    """Whether it is tensors, nested in dicts or beside each other; a list of batches has no tensor of its own."""
    if torch.is_tensor(data):
        return True
    if isinstance(data, Mapping):
        return bool(data) and all(map(_is_structure, data.values()))
    return isinstance(data, (tuple, list)) and any(map(torch.is_tensor, data)) and all(map(_is_structure, data))


def _expected(place: str) -> str:
    kinds = "(inputs, targets) tensors, a map-style Dataset or an iterable of batches"
    return f"{place[0].upper()}{place[1:]} must be {kinds}."


def move(batch: Batch, device: torch.device | None) -> Batch:
    """The batch on a device; what is no tensor stays as it is."""
    if device is None or device.type == "cpu":
        return batch
    return _map(lambda tensor: tensor.to(device, non_blocking=True), batch)


def _pool(batches: Iterable[Batch], place: str) -> TensorExamples:
    collected = list(islice(batches, MOST_BATCHES + 1))
    if not collected:
        raise InvalidTask(f"There must be at least one batch in {place}. Got none.")
    if len(collected) > MOST_BATCHES:
        raise InvalidTask(f"The batches of {place} must come to an end. Got more than {MOST_BATCHES:,}.")
    lengths = [len(tensor) if tensor.ndim else 0 for tensor in leaves(collected[0])]
    if len(set(lengths)) > 1:
        raise InvalidTask(
            f"An iterable must give whole batches, with as many inputs as targets, not single examples. The first of "
            f"{place} has {lengths}."
        )
    try:
        pooled = _concatenate(collected)
        _check_tensors(pooled, place)
    except (TypeError, RuntimeError, KeyError, StopIteration) as error:
        raise InvalidTask(
            f"The batches of {place} must all be tensors, or tuples or dicts of tensors, of one shape but for their "
            f"first dimension ({error}). For ragged batches give a Dataset."
        ) from None
    return TensorExamples(pooled)


def _concatenate(batches: Sequence[Batch]) -> Batch:
    first = batches[0]
    if torch.is_tensor(first):
        return torch.cat(list(batches))
    if isinstance(first, Mapping):
        return {key: _concatenate([batch[key] for batch in batches]) for key in first}
    if isinstance(first, (tuple, list)):
        return tuple(_concatenate(part) for part in zip(*batches, strict=True))
    raise TypeError(f"a batch holds a {type(first).__name__}")


def _check_tensors(tensors: Batch, place: str) -> None:
    rows = list(leaves(tensors))
    if not rows:
        raise InvalidTask(f"There must be at least one tensor in {place}.")
    if any(tensor.ndim == 0 for tensor in rows):
        raise InvalidTask(f"Every tensor of {place} must have one row an example. Got a scalar.")
    lengths = [len(tensor) for tensor in rows]
    if len(set(lengths)) > 1:
        raise InvalidTask(f"Inputs and targets of {place} must have the same length. Got {lengths}.")
    if lengths[0] == 0:
        raise InvalidTask(f"There must be at least one example in {place}. Got none.")
    for index, tensor in enumerate(rows):
        bad = ~torch.isfinite(tensor) if tensor.is_floating_point() else torch.zeros(1, dtype=torch.bool)
        if bool(bad.any()):
            row = int(bad.flatten(1).any(1).nonzero()[0]) if bad.ndim > 1 else int(bad.nonzero()[0])
            raise InvalidTask(
                f"The numbers of {place} must be finite. Got NaN or infinity in tensor {index}, first in example {row}."
            )


def leaves(batch: Batch) -> Iterator[torch.Tensor]:
    """The tensors of a batch, in the order of its structure."""
    if torch.is_tensor(batch):
        yield batch
    elif isinstance(batch, Mapping):
        for value in batch.values():
            yield from leaves(value)
    elif isinstance(batch, (tuple, list)):
        for value in batch:
            yield from leaves(value)


def _map(function: Any, batch: Batch) -> Batch:
    if isinstance(batch, torch.Tensor):
        return function(batch)
    if isinstance(batch, tuple):
        return tuple([_map(function, value) for value in batch])
    if isinstance(batch, list):
        return [_map(function, value) for value in batch]
    if isinstance(batch, Mapping):  # last: it is slow to ask, and this is done for every batch
        return {key: _map(function, value) for key, value in batch.items()}
    return batch
