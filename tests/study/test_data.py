"""Examples: whatever a task was given, opened, checked and indexed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from lrscope.errors import InvalidTask
from lrscope.study.data import DatasetExamples, TensorExamples, leaves, open_examples

X, Y = torch.arange(20.0).reshape(10, 2), torch.arange(10)


class Rows(Dataset[Any]):
    """A Dataset of dicts."""

    def __init__(self, many: bool = False) -> None:
        self.asked: list[list[int]] = []
        if many:
            self.__getitems__ = self._many

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"x": X[index], "y": int(Y[index]), "name": f"row {index}"}

    def _many(self, indices: list[int]) -> list[dict[str, Any]]:
        self.asked.append(indices)
        return [self[index] for index in indices]


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        [X, Y],
        TensorDataset(X, Y),
        DataLoader(TensorDataset(X, Y), batch_size=3),
        [(X[:4], Y[:4]), (X[4:], Y[4:])],
        ((X[k : k + 5], Y[k : k + 5]) for k in (0, 5)),
    ],
    ids=["tuple", "list", "TensorDataset", "loader", "batches", "generator"],
)
def test_pairs_of_any_kind_are_indexed_alike(data: Any) -> None:
    examples = open_examples(data, "the data")
    assert isinstance(examples, TensorExamples)
    assert len(examples) == 10
    x, y = examples.batch(torch.tensor([7, 2]))
    assert torch.equal(x, X[[7, 2]])
    assert torch.equal(y, Y[[7, 2]])


@pytest.mark.parametrize(
    "data",
    [{"x": X, "y": Y}, [{"x": X[:3], "y": Y[:3]}, {"x": X[3:], "y": Y[3:]}], Rows(), Rows(many=True)],
    ids=["dict", "batches", "Dataset", "Dataset with __getitems__"],
)
def test_dicts_of_any_kind_are_indexed_alike(data: Any) -> None:
    examples = open_examples(data, "the data")
    batch = examples.batch(torch.tensor([7, 2]))
    assert torch.equal(batch["x"], X[[7, 2]])
    assert torch.equal(batch["y"], Y[[7, 2]])


def test_tensors_may_be_nested() -> None:
    indices = torch.tensor([7, 2])
    inputs, targets = open_examples(({"x": X, "pair": (X, Y)}, Y), "the data").batch(indices)
    assert torch.equal(inputs["pair"][1], Y[indices])
    assert torch.equal(targets, Y[indices])
    assert len(open_examples({"a": {"b": X}, "c": [X, Y]}, "the data")) == 10


def test_a_dataset_is_asked_for_many_at_once_where_it_can() -> None:
    rows = Rows(many=True)
    examples = open_examples(rows, "the data")
    assert isinstance(examples, DatasetExamples)
    assert examples.batch(torch.tensor([1, 3]))["name"] == ["row 1", "row 3"]
    assert rows.asked == [[1, 3]]


def test_a_single_tensor_is_a_batch_by_itself() -> None:
    assert torch.equal(open_examples(X, "the data").batch(torch.tensor([1])), X[1:2])


def test_leaves_are_the_tensors_of_a_structure_in_order() -> None:
    assert [int(leaf) for leaf in leaves({"a": (Y[0], [Y[1]]), "b": Y[2], "c": "text"})] == [0, 1, 2]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ((X, Y[:9]), r"Inputs and targets of the data must have the same length. Got \[10, 9\]"),
        ((X[:0], Y[:0]), "There must be at least one example in the data. Got none"),
        ((X, torch.tensor(1.0)), "Every tensor of the data must have one row an example. Got a scalar"),
        (
            (torch.where(X == 7, torch.nan, X), Y),
            "numbers of the data must be finite. Got NaN or infinity in tensor 0, first in example 3",
        ),
        (
            (X, torch.where(Y == 4, torch.inf, Y.float())),
            "numbers of the data must be finite. Got NaN or infinity in tensor 1, first in example 4",
        ),
        ([], "There must be at least one example in the data. Got an empty list"),
        (iter([]), "There must be at least one batch in the data. Got none"),
        (
            [(X, Y), (X[:, :1], Y)],
            r"The batches of the data must all be tensors, or tuples or dicts of tensors, of one shape",
        ),
        (
            [(X[0], torch.ones(1)), (X[1], torch.ones(1))],
            r"An iterable must give whole batches, .* not single examples. The first of the data has \[2, 1\]",
        ),
        ([("a", "b")], r"The batches of the data must all be tensors.*a batch holds a str"),
        (
            (X.numpy(), Y.numpy()),
            r"The data must be \(inputs, targets\) tensors.* Got NumPy arrays: wrap each in torch.from_numpy",
        ),
        (X.numpy(), "Got NumPy arrays"),
        (3, r"The data must be \(inputs, targets\) tensors, a map-style Dataset or an iterable of batches. Got int"),
        ("text", "Got str"),
        ({"x": 1}, "Got dict"),
        (None, "Got NoneType"),
    ],
)
def test_what_is_no_data_is_refused_in_a_sentence(data: Any, sentence: str) -> None:
    with pytest.raises(InvalidTask, match=sentence) as caught:
        open_examples(data, "the data")
    assert "\n" not in str(caught.value)
