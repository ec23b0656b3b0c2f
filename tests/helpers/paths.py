"""Where the checkout is, and how the processes that tests start find it."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def python_path(*first: Path) -> str:
    """PYTHONPATH for a child: `first`, the checkout, then what stands there now, through which this
    process may have found its packages."""
    there = os.environ.get("PYTHONPATH")
    return os.pathsep.join([*map(str, first), str(ROOT), *([there] if there else [])])
