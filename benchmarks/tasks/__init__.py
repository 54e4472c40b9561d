"""Small training jobs that searches are measured on: they differ in data, model, loss and optimizer.

`TASKS` names them, the bundled ones included, with the range of the dense grid that is their truth. Those with
`held_out=True` are never looked at while a search is tuned: they are for the figures at the end. Each is also a task
like a user's: `lrscope study benchmarks/tasks/tables.py:wine`.
"""

from .registry import TASKS, TruthTask

__all__ = ["TASKS", "TruthTask"]
