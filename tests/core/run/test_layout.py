"""Names of runs and of their files."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.helpers.run_files import NOW
from tinygpt import run
from tinygpt.errors import RunError


@pytest.mark.parametrize("name", ["nano-1123-2057", "a", "x.y_z", "été 2", "日" * 60])
def test_good_names(name: str) -> None:
    assert run.validate_run_name(name) == name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("a/b", "separator"),
        ("a\\b", "separator"),
        ("..", "starts with '.'"),
        (".run", "starts with '.'"),
        ("--out", "starts with '-'"),
        (" a", "space"),
        ("a ", "space"),
        ("a\n", "space"),
        ("a\x1bb", "control"),
        ("a\0b", "control"),
        ("a\u202eb", "control"),
        ("a\ud800b", "control"),
        ("a" * 61, "longer than 60"),
    ],
)
def test_bad_names(name: str, problem: str) -> None:
    with pytest.raises(RunError, match=problem):
        run.validate_run_name(name)


def test_new_names_are_free(tmp_path: Path) -> None:
    first = run.new_run_name(tmp_path / "missing", "nano", clock=lambda: NOW)
    assert first.startswith("nano-")
    assert len(first) == len("nano-1123-2057")
    for suffix in ("", "-2", "-3"):
        name = run.new_run_name(tmp_path, "nano", clock=lambda: NOW)
        assert name == first + suffix
        (tmp_path / name).mkdir()
    with pytest.raises(RunError, match="separator"):
        run.new_run_name(tmp_path, "a/b")


def test_a_reserved_name_is_taken_by_one(tmp_path: Path) -> None:
    out, count = tmp_path / "new" / "runs", 8
    together = threading.Barrier(count)

    def reserve() -> Path:
        together.wait()
        return run.reserve_run(out, "nano", clock=lambda: NOW)

    with ThreadPoolExecutor(count) as pool:
        taken = [reserved.result() for reserved in [pool.submit(reserve) for _ in range(count)]]
    assert len(set(taken)) == count
    assert sorted(taken) == sorted(out.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot write .*file"):
        run.reserve_run(tmp_path / "file")


def test_step_names() -> None:
    assert run.step_name(500) == "step-00000500"
    assert run.checkpoint_dir("r", "moe", 500) == Path("r/moe/step-00000500")
    for step in (0, 500, 10**9):
        assert run.parse_step(run.step_name(step)) == step
    for name in ("step-5", "xstep-00000005", "step-00000005.tmp", ".step-00000005.deadbeef.tmp"):
        assert run.parse_step(name) is None


@pytest.mark.parametrize("content", [b"a =", b"\xff", b"a = 1\na = 2"])
def test_unreadable_config_names_the_file(folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / run.RUN_TOML).write_bytes(content)
    with pytest.raises(RunError, match=r"run\.toml is not valid TOML"):
        run.read_config(folder)
