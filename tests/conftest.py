"""One thread for PyTorch, here and in all that the tests start: on models this small more only wait for one another."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
