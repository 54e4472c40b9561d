"""What a trial depends on besides its key, in short: the task's code, weights and data, the settings, the versions."""

from __future__ import annotations

import ast
import hashlib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from lrscope.study.bench import Bench
from lrscope.study.data import Examples, TensorExamples, leaves
from lrscope.study.load import TaskSource, run_user_code
from lrscope.study.seeding import DATA, isolated_rng, stream_seed
from lrscope.study.task import Task

TRAINING_VERSION = 1
"""Raised whenever the same trial would train differently."""

SAMPLED_EXAMPLES = 256
"""How many examples of a Dataset are read to tell it from another."""


def fingerprint(bench: Bench, source: TaskSource) -> dict[str, Any]:
    """What else the trials depend on: the task's code, its weights, its data, the settings and the versions."""
    task = bench.task
    model = bench.make_model(0)
    return {
        "task function": None if source.reference is None else source.reference.rpartition(":")[2],
        "task code": _code(source, task),
        "initial weights": _digest(*(tensor for tensor in model.state_dict().values())),
        "training data": _data_digest(bench.train),
        "validation data": None if bench.validation is None else _data_digest(bench.validation),
        "gradient clipping": task.clip_norm,
        "precision": task.precision,
        "device": bench.device.type,
        "torch": torch.__version__.split("+")[0],
        "training version": TRAINING_VERSION,
    }


def _code(source: TaskSource, task: Task) -> dict[str, str] | str:
    """File -> its code without comments and layout, of the task's file and its neighbours.

    Of a task in memory: the digest of its functions' byte code.
    """
    if source.reference is not None:
        path = Path(source.reference.rpartition(":")[0])
        files = [path, *_neighbours(path)]
        return {file.name: ast.unparse(ast.parse(file.read_bytes())) for file in files}
    functions = (task.model, task.loss, task.batch_loss, *task.metrics.values(), task.optimizer)
    return hashlib.sha256("".join(map(_function_text, functions)).encode()).hexdigest()[:12]


def _neighbours(path: Path) -> list[Path]:
    """The files of the task's own folder that it imports, and those that they import."""
    found, queue = {path}, [path]
    while queue:
        file = queue.pop()
        for parts, folder in _imports(file, path.parent):
            place = folder.joinpath(*parts)
            new = {place.with_suffix(".py"), place / "__init__.py"} - found
            new = {candidate for candidate in new if parts and candidate.is_file()}
            found |= new
            queue += new
    return sorted(found - {path})


def _imports(file: Path, root: Path) -> Iterator[tuple[list[str], Path]]:
    """The dotted names that a file imports, in parts, and the folder that they start from."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split("."), root) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = node.module.split(".") if node.module else []
            folder = file.parents[node.level - 1] if node.level else root
            yield parts, folder
            yield from (([*parts, alias.name], folder) for alias in node.names)


def _function_text(function: object) -> str:
    """What a function does, as far as its byte code, defaults and plain captured values tell."""
    code = getattr(function, "__code__", None)
    if code is None:
        return str(getattr(function, "__qualname__", function if isinstance(function, str) else type(function)))
    captured = [cell.cell_contents for cell in getattr(function, "__closure__", None) or () if _is_filled(cell)]
    values = [*(getattr(function, "__defaults__", None) or ()), *captured]
    plain = [repr(value) for value in values if isinstance(value, (bool, int, float, str, tuple))]
    return f"{_code_text(code)}{plain}"


def _code_text(code: types.CodeType) -> str:
    constants = [_code_text(item) if isinstance(item, types.CodeType) else repr(item) for item in code.co_consts]
    return f"{code.co_code.hex()}{constants}{code.co_names}"


def _is_filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # a name that is not bound yet
        return False


def _data_digest(examples: Examples) -> str:
    """How many examples, and the numbers in them: all of tensors, of a Dataset some at even distances."""
    if isinstance(examples, TensorExamples):
        return f"{len(examples)} examples, {_digest(*leaves(examples.tensors))}"
    some = torch.unique(torch.linspace(0, len(examples) - 1, SAMPLED_EXAMPLES).long())
    samples = []
    for _ in range(2):
        with isolated_rng(stream_seed(0, DATA)):
            samples.append(list(leaves(run_user_code("The task's data", examples.batch, some))))
    first, again = samples
    if _digest(*first) == _digest(*again):
        return f"{len(examples)} examples, {_digest(*first)}"
    return f"{len(examples)} examples, shapes {[list(leaf.shape[1:]) for leaf in first]}"  # drawn anew each time


def _digest(*tensors: torch.Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]
