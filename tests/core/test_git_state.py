"""The commit that a run records, whatever the working directory is."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.helpers.training import make_session
from tinygpt import git_state as module
from tinygpt.git_state import git_state
from tinygpt.run import read_config

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    command = [shutil.which("git") or "git", *who, *arguments]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "notes.txt").write_text("one")
    git(folder, "add", "notes.txt")
    git(folder, "commit", "--quiet", "--message", "one")
    return folder


@needs_git
def test_the_commit_and_whether_files_changed(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    (repository / "new.txt").write_text("not tracked: a run's own folder, for example")
    (repository / "inner").mkdir()
    assert git_state(repository) == {"commit": commit, "changed": False}
    (repository / "notes.txt").write_text("another")
    assert git_state(repository / "inner") == {"commit": commit, "changed": True}


@needs_git
def test_there_is_none_without_a_repository_or_a_commit(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    assert git_state(bare) is None
    git(bare, "init", "--quiet")
    assert git_state(bare) is None


def test_there_is_none_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) is None


def fake_git(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "git"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_a_slow_comparison_leaves_the_commit_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "ab" * 20
    script = f'case "$*" in *rev-parse*) echo {commit};; *) exec sleep 600;; esac'
    fake_git(tmp_path, script, monkeypatch)
    monkeypatch.setattr(module, "TIME_LIMIT", 0.01)
    monkeypatch.setattr(module, "_BRIEF", 60.0)
    assert git_state(tmp_path) == {"commit": commit}


@pytest.mark.parametrize("script", ["exit 128", "echo '# branch.oid (initial)'", "echo '\\377'"])
def test_whatever_git_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    fake_git(tmp_path, script, monkeypatch)
    assert git_state(tmp_path) is None


@needs_git
def test_a_run_records_it(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    session = make_session(tmp_path, model="dense")
    session.writer.close()
    commit = git(repository, "rev-parse", "HEAD")
    assert read_config(session.path)["git"] == {"commit": commit, "changed": False}
