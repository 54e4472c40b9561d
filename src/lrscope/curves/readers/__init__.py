"""A run's record from the files that people have: `read_curves` finds the format itself."""

from __future__ import annotations

from lrscope.curves.readers.read import read_curves

__all__ = ["read_curves"]
