"""Which way imports point, and what stays unloaded: read from sys.modules of a fresh process."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

HEAVY = ("torch", "numpy", "textual", "rich", "plotext")
TINY = (
    *("--preset", "micro", "--model", "both", "--steps", "2", "--device", "cpu"),
    *("--gpt.layers", "1", "--gpt.heads", "1", "--gpt.width", "4", "--gpt.context", "5"),
    *("--train.batch", "3"),
)
HELP_LIMIT = 3.0
"""Seconds of computing for --help, ten times what is promised: a slow machine passes, one that
loads torch hardly does."""

# The marker parts what the program prints from what is loaded when it ends.
_MARKER = "-- loaded --"
_EPILOGUE = f"""
finally:
    print({_MARKER!r}, *(name for name in {HEAVY!r} if name in sys.modules))
"""


def run(body: str, *arguments: str) -> tuple[str, set[str]]:
    """What a program that exits with 0 printed, and which of HEAVY it had loaded in the end."""
    script = f"import sys\ntry:\n    {body}{_EPILOGUE}"
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed, _, loaded = done.stdout.rpartition(_MARKER)
    return printed, set(loaded.split())


def computed() -> float:
    """Seconds that the children of this process have computed, however busy the machine is."""
    times = os.times()
    return times.children_user + times.children_system


def test_import_tinygpt_is_light() -> None:
    _, loaded = run("import tinygpt")
    assert loaded == set()


def test_help_is_light_and_quick() -> None:
    before = computed()
    printed, loaded = run(
        "import tinygpt_tui.cli; sys.exit(tinygpt_tui.cli.main(sys.argv[1:]))", "--help"
    )
    assert computed() - before < HELP_LIMIT
    assert "usage: tinygpt-tui" in printed.lower()
    assert "--train-only" in printed
    assert loaded == set()


def test_training_loads_no_interface_and_on_a_cpu_no_compiler(tmp_path: Path) -> None:
    """torch.compile takes two seconds to import, and torch's optimizers do so when first used."""
    data = tmp_path / "corpus.txt"
    data.write_text("ROMEO:\nHe jests at scars that never felt a wound.\n\n" * 7)
    printed, loaded = run(
        "import tinygpt_tui.cli; assert not tinygpt_tui.cli.main(sys.argv[1:]); "
        "print('torch._dynamo' in sys.modules)",
        *("--train-only", *TINY, "--data", str(data), "--out", str(tmp_path / "runs")),
    )
    assert printed.split()[-1] == "False"
    assert "torch" in loaded
    assert not loaded & {"textual", "plotext"}


@pytest.mark.parametrize("banned", ["tinygpt_tui", "textual", "plotext"])
def test_trainer_never_imports(banned: str) -> None:
    """In no function either. import-linter reads packages alone, and trainer is a module."""
    names = set()
    for node in ast.walk(ast.parse((ROOT / "trainer.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    assert banned not in names
