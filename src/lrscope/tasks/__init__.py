"""Real data, ready to study: `lrscope tasks` lists these, and `lrscope study NAME` takes them by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class BundledTask:
    """A task that comes with lrscope: what it is, and the file and function that make it."""

    description: str
    file: str
    function: str

    @property
    def reference(self) -> str:
        """The task as `path/to/file.py:function`."""
        return f"{Path(__file__).with_name(self.file)}:{self.function}"


BUNDLED = {
    "digits": BundledTask(
        description="1,797 real images of handwritten digits (scikit-learn), a small CNN, SGD with momentum",
        file="digits.py",
        function="digits",
    ),
    "digits-adamw": BundledTask(
        description="the same images, an MLP with dropout, AdamW",
        file="digits.py",
        function="digits_adamw",
    ),
    "pydoc-text": BundledTask(
        description="next character of the English in CPython's own documentation, an embedding MLP, AdamW",
        file="text.py",
        function="pydoc_text",
    ),
    "fashion-mnist": BundledTask(
        description="70,000 images of clothes (Debian's dataset-fashion-mnist), a CNN with BatchNorm, SGD",
        file="fashion_mnist.py",
        function="fashion_mnist",
    ),
}
