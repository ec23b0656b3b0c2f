"""``tinygpt-tui RUN --track-to``: a run that has ended, and mistakes."""

from pathlib import Path

import pytest

from tests.helpers.records import train
from tests.helpers.run_files import end
from tests.helpers.tracking import PACKAGES, environment, logged, run_with, told_to
from tinygpt_tui import cli


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the fake wandb writes what it is told; it is used here and in processes."""
    monkeypatch.syspath_prepend(PACKAGES)
    for name, value in environment(tmp_path / "told.jsonl").items():
        monkeypatch.setenv(name, value)
    return tmp_path / "told.jsonl"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with the run nano."""
    run_with(tmp_path / "runs" / "nano", train("dense", 1), train("dense", 2), end())
    return tmp_path / "runs"


@pytest.mark.parametrize("name", ["nano", None])
def test_a_run_is_sent(
    out: Path, told: Path, capsys: pytest.CaptureFixture[str], name: str | None
) -> None:
    words = [] if name is None else [name]
    assert cli.main([*words, "--out", str(out), "--track-to", "wandb"]) == 0
    assert logged(told_to(told)) == {"nano/dense": [1, 2]}
    assert capsys.readouterr().err.splitlines()[-1] == "wandb: 2 rows sent"


def test_a_tracker_that_fails_is_exit_status_1(
    out: Path, told: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_WANDB_TROUBLE", "raise")
    assert cli.main(["nano", "--out", str(out), "--track-to", "wandb"]) == 1
    assert capsys.readouterr().err.startswith("wandb stopped: the server; send the rest with: ")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nobody"], "there is no run 'nobody'"),
        (["nano", "--steps", "3"], "--steps has no effect with --track-to"),
        (["nano", "--track", "wandb"], "--track has no effect with --track-to"),
    ],
)
def test_mistakes(
    out: Path, told: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert cli.main([*words, "--out", str(out), "--track-to", "wandb"]) == 2
    assert says in capsys.readouterr().err
    assert told_to(told) == []
