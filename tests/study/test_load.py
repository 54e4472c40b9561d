"""From a reference to a task: what is wrong with a user's file is said with its type, message and file:line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from lrscope.errors import InvalidTask, MissingExtra
from lrscope.study.load import TaskSource, describe_user_error, load_file_task, resolve_reference, run_user_code

HEAD = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\nimport lrscope\n"
TASK = (
    "lrscope.Task(name='t', model=lambda: nn.Linear(2, 1), loss=F.mse_loss, "
    "train=(torch.randn(8, 2), torch.randn(8, 1)), steps=3)"
)

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Text -> a file that holds it."""

    def write_(text: str, name: str = "mine.py") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_


def test_a_reference_is_a_bundled_name_or_a_file_and_a_function(tmp_path: Path, write: Write) -> None:
    path = write("")
    assert resolve_reference("digits", {"digits": "/x/digits.py:digits"}) == "/x/digits.py:digits"
    assert resolve_reference(f"{path}:task", {}) == f"{path}:task"
    with pytest.raises(InvalidTask, match=r"There is no task 'nothing': give one of digits, or path/to/file.py:funct"):
        resolve_reference("nothing", {"digits": ""})
    with pytest.raises(InvalidTask, match=r"Name the function of '.*mine.py' that makes the task, too"):
        resolve_reference(str(path), {})
    with pytest.raises(InvalidTask, match=r"There is no file '.*absent.py', named by the task"):
        resolve_reference(f"{tmp_path / 'absent.py'}:task", {})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("def task(:\n", r"The import of '.*mine.py' failed: SyntaxError: .* \(.*mine.py:1\)"),
        ("import torch\n\n1 / 0\n", r"The import of '.*mine.py' failed: ZeroDivisionError: .* \(.*mine.py:3\)"),
        ("import not_a_package\n", r"ModuleNotFoundError: No module named 'not_a_package' \(.*mine.py:1\)"),
        ("import sys\nsys.exit(0)\n", r"The import of '.*mine.py' failed: SystemExit: 0 \(.*mine.py:2\)"),
        ("other = 1\n", r"There is no function 'task' in '.*mine.py'"),
        ("task = 1\n", r"There is no function 'task' in '.*mine.py'"),
        (
            "def task():\n    return open('/not/there')\n",
            r"The function 'task' failed: FileNotFoundError: .*mine.py:2\)",
        ),
        (
            "import json\ndef task():\n    return json.loads('{')\n",
            r"The function 'task' failed: JSONDecodeError: .* \(.*mine.py:3\)",
        ),
        (
            "def task(size):\n    return size\n",
            r"The function 'task' failed: TypeError: .*missing 1 required positional argument: 'size' \(.*mine.py:1\)",
        ),
        ("def task():\n    return 3\n", r"The function 'task' of '.*mine.py' must return an lrscope.Task. Got int"),
        (
            HEAD + f"def task():\n    return {TASK.replace('steps=3', 'steps=0')}\n",
            r"'steps' of task 't' must be a whole number > 0. Got 0",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(write: Write, text: str, sentence: str) -> None:
    before = set(sys.modules)
    with pytest.raises(InvalidTask, match=sentence) as caught:
        load_file_task(f"{write(text)}:task")
    assert "\n" not in str(caught.value)
    left = {name for name in set(sys.modules) - before if name.startswith("lrscope_task_mine")}
    assert not left or "import" not in sentence  # a file that failed half-way is not taken for an imported one


def test_a_task_that_sets_no_seed_is_the_same_wherever_it_is_loaded(
    write: Write, tiny: ModuleType, reference: Callable[[str], str]
) -> None:
    torch.manual_seed(1)
    first = load_file_task(reference("unseeded"))
    torch.manual_seed(2)
    again = load_file_task(reference("unseeded"))
    assert torch.equal(first.train[0], again.train[0])
    assert torch.initial_seed() == 2


def test_a_file_imports_its_neighbours_also_later(tmp_path: Path, write: Write) -> None:
    (tmp_path / "neighbour_of_mine.py").write_text("width = 2\n")
    (tmp_path / "later_neighbour.py").write_text("width = 2\n")
    model = "def model():\n    from later_neighbour import width\n    return nn.Linear(width, 1)\n"
    text = HEAD + "from neighbour_of_mine import width\n" + model + f"def task():\n    return {TASK}\n"
    path = write(text.replace("model=lambda: nn.Linear(2, 1)", "model=model"))
    assert load_file_task(f"{path}:task").model().in_features == 2
    sys.path.remove(str(tmp_path))


def test_a_task_in_memory_travels_by_pickle_or_says_why_it_cannot(tiny: ModuleType) -> None:
    source = TaskSource.of(tiny.regression())
    assert source.load().name == "regression"
    with pytest.raises(InvalidTask, match=r"'regression' cannot be sent to worker processes \(TypeError: .*generator"):
        TaskSource.of(tiny.regression(train=(batch for batch in [1, 2])))


def test_a_missing_torch_names_its_extra_and_other_packages_do_not(write: Write) -> None:
    def needs(name: str) -> None:
        raise ImportError(f"No module named '{name}'", name=name)

    with pytest.raises(MissingExtra, match=r"pip install 'lrscope\[study\]'"):
        run_user_code("It", needs, "torch.nn")
    with pytest.raises(InvalidTask, match="It failed: ImportError: No module named 'other'"):
        run_user_code("It", needs, "other")


def test_an_error_without_a_message_or_a_frame_is_still_described() -> None:
    assert describe_user_error(KeyError()) == "KeyError"
    assert describe_user_error(ValueError("a\n  b")) == "ValueError: a b"
