"""The package as a whole."""

import subprocess
import sys

from tests.helpers.paths import ROOT


def test_import_brings_nothing_heavy() -> None:
    heavy = {"torch", "rich", "textual", "psutil"}
    code = f"import sys, tinygpt.run; print(*({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout == "\n"
