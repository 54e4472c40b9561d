"""Makes the strategies beside this file importable by their name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
