"""The text of a run is found where it was, or wherever it is now, by its bytes."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tinygpt.data import run_corpus, shakespeare
from tinygpt.data.corpus import Corpus, read_text
from tinygpt.data.run_corpus import find_run_corpus
from tinygpt.errors import CorpusError

TEXT = "In the beginning\n" * 7
SHA256 = hashlib.sha256(TEXT.encode()).hexdigest()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run's folder, in a folder of runs; the current folder is another one."""
    for folder in ("work/runs/a", "here"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "work" / "runs" / "a"


def stored(data: str, **corpus: object) -> Mapping[str, Any]:
    """The settings of a run of `TEXT`."""
    size = len(TEXT.encode())
    return {"data": data, "corpus": {"name": "t.txt", "sha256": SHA256, "bytes": size, **corpus}}


@pytest.mark.parametrize(
    "place",
    [
        *("gone/t.txt", "work/runs/a/t.txt", "work/runs/t.txt", "here/t.txt"),
        *("work/runs/a/other", "work/runs/other", "here/other"),
    ],
)
def test_places(run: Path, tmp_path: Path, place: str) -> None:
    file = tmp_path / place
    file.parent.mkdir(exist_ok=True)
    file.write_text(TEXT)
    for decoy in (run.parent / "b", tmp_path / "here" / "c"):
        decoy.write_text(TEXT[::-1])
    os.mkfifo(run / "pipe")
    found = find_run_corpus(run, stored(str(tmp_path / "gone" / "t.txt")))
    assert (found.text, found.path) == (TEXT, str(file))


@pytest.mark.parametrize(
    ("place", "data"),
    [("here/t.txt", "t.txt"), ("work/data/t.txt", "data/t.txt"), ("work/runs/t.txt", "x/t.txt")],
)
def test_runs_of_earlier_versions(run: Path, tmp_path: Path, place: str, data: str) -> None:
    """Their paths are relative to the folder in which they were started, their sizes unknown."""
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text(TEXT)
    found = find_run_corpus(run, stored(data, bytes=None))
    assert found.path == str(tmp_path / place)
    (tmp_path / place).rename(tmp_path / "here" / "renamed.txt")
    with pytest.raises(CorpusError, match=r"is neither at .*t\.txt, beside the run nor in this fo"):
        find_run_corpus(run, stored(data, bytes=None))


def test_only_files_of_the_same_size_are_read(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def read(path: str, *how: Any) -> Corpus:
        opened.append(Path(path).name)
        return read_text(path, *how)

    monkeypatch.setattr(run_corpus, "read_text", read)
    Path("large.txt").write_text(TEXT * 2)
    Path("same.txt").write_text(TEXT[::-1])
    with pytest.raises(CorpusError):
        find_run_corpus(run, stored("t.txt"))
    assert set(opened) == {"t.txt", "same.txt"}


def test_what_is_not_found_is_named_with_the_flag(run: Path) -> None:
    with pytest.raises(CorpusError) as error:
        find_run_corpus(run, stored("/gone/t.txt"))
    remedy = f"name its file with --resume --data PATH (sha256 {SHA256[:12]}…)"
    where = "neither at /gone/t.txt, beside the run nor in this folder"
    assert str(error.value) == f"the corpus of {run} is {where}: {remedy}"
    Path("t.txt").write_text(TEXT + "more")
    other = hashlib.sha256((TEXT + "more").encode()).hexdigest()
    with pytest.raises(CorpusError) as error:
        find_run_corpus(run, stored("t.txt"))
    assert str(error.value) == (
        f"the corpus of {run} has changed: t.txt has the sha256 {other[:12]}…; {remedy}"
    )
    with pytest.raises(CorpusError, match=rf"--data t\.txt is not the text of {run}: it has the"):
        find_run_corpus(run, stored("t.txt"), "t.txt")
    with pytest.raises(CorpusError, match=r"--data no\.txt does not exist"):
        find_run_corpus(run, stored("t.txt"), "no.txt")


def test_a_known_corpus_is_found_by_its_name(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shakespeare, "build", lambda: TEXT)
    of_run = stored("auto", name=shakespeare.NAME, bytes=None)
    assert find_run_corpus(run, of_run).name == shakespeare.NAME
    monkeypatch.setattr(shakespeare, "build", lambda: TEXT + "more")
    with pytest.raises(CorpusError, match="is neither beside the run nor in this folder"):
        find_run_corpus(run, of_run)


@pytest.mark.parametrize(
    "broken",
    [{}, {"corpus": 7}, {"data": 7, "corpus": {"path": ["x"], "bytes": "many", "sha256": 7}}],
)
def test_settings_that_say_nothing(run: Path, broken: Mapping[str, Any]) -> None:
    with pytest.raises(CorpusError, match="--resume --data PATH"):
        find_run_corpus(run, broken)
