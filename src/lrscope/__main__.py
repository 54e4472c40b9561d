"""The `lrscope` command and `python -m lrscope`: Ctrl-C ends them in a word, also while they are still loading."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Load the command line and run it."""
    try:
        from lrscope.cli.main import main as run
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        os._exit(1)
    run()


if __name__ == "__main__":
    main()
