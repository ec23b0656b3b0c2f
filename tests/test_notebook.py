"""The notebook runs from the first to the last cell, and is kept with the outputs of a real run."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.helpers.paths import ROOT

NOTEBOOK = ROOT / "notebooks" / "TinyGPT.ipynb"
LARGEST = 1_000_000
"""Bytes that GitHub still shows."""
PLAY = "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak.\n\n"


@pytest.fixture
def notebook() -> nbformat.NotebookNode:
    found: nbformat.NotebookNode = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    return found


def parameters(cells: list[nbformat.NotebookNode]) -> nbformat.NotebookNode:
    (found,) = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    return found


def test_every_cell_runs(
    notebook: nbformat.NotebookNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    (tmp_path / "play.txt").write_text(PLAY * 60)
    parameters(notebook.cells).source += (
        '\nPRESET, DATA, PROMPT = "micro", "play.txt", "All:\\n"\n'
        'SETTINGS = {"steps": 6, "train.eval_every": 2, "train.sample_tokens": 0}\n'
    )
    for cell in notebook.cells:
        cell.outputs = []
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    assert list((tmp_path / "runs").glob("micro-*/moe/step-00000006"))
    assert_has_outputs(notebook.cells)


def test_it_is_kept_with_the_outputs_of_a_run(notebook: nbformat.NotebookNode) -> None:
    assert len(notebook.cells) < 25
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert_has_outputs(notebook.cells)
    assert NOTEBOOK.stat().st_size < LARGEST
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert "2,000 steps" in text
    assert "/home/" not in text
    assert "/root/" not in text


def assert_has_outputs(cells: list[nbformat.NotebookNode]) -> None:
    """Pictures, tables and texts, and no error or warning."""
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    kinds = [kind for output in outputs for kind in output.get("data", {})]
    assert kinds.count("image/png") == 5  # training, loss and perplexity, attention, experts
    assert kinds.count("text/markdown") == 2
    assert {output.output_type for output in outputs} <= {"display_data", "stream"}
    assert {output.get("name", "stdout") for output in outputs} == {"stdout"}
