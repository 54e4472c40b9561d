"""The measurement itself: a task, its plan, the search, the trials and their store, and the result."""
