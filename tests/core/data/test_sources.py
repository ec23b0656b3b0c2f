"""What ``--data`` names."""

from pathlib import Path

import pytest

from tests.helpers.permissions import closed, public_folder
from tinygpt.data.sources import absolute, names, source_files
from tinygpt.errors import CorpusError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of text and other files, which is the current one."""
    for name in (
        *("b.txt", "a.md", "deep/c.py", "deep/er/d.jsonl.gz", "e,f.txt"),
        *("picture.png", ".hidden.txt", ".git/config.txt", "archive.gz"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("data", "files"),
    [
        ("b.txt", ["b.txt"]),
        ("picture.png", ["picture.png"]),  # who names it will know
        ("b.txt, a.md", ["b.txt", "a.md"]),
        ("b.txt,b.txt,./a.md", ["b.txt", "./a.md"]),
        ("e,f.txt", ["e,f.txt"]),
        ("*.txt", ["b.txt", "e,f.txt"]),
        ("deep", ["deep/c.py", "deep/er/d.jsonl.gz"]),
        (".", ["./a.md", "./b.txt", "./e,f.txt", "./deep/c.py", "./deep/er/d.jsonl.gz"]),
        ("deep/**/*.gz", ["deep/er/d.jsonl.gz"]),
        ("deep,b.txt", ["deep/c.py", "deep/er/d.jsonl.gz", "b.txt"]),
    ],
)
def test_files_of_a_corpus(folder: Path, data: str, files: list[str]) -> None:
    assert source_files(data) == files
    assert source_files(absolute(data)) == [str(folder / path) for path in files]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("*.rst", "--data *.rst matches no file: name a text file or another pattern"),
        (
            "b.txt,no.txt",
            "--data no.txt does not exist: name a text file, tinyshakespeare or shake",
        ),
        (".git", "--data .git is a folder with no files of text or source code, by their endings"),
    ],
)
def test_what_is_not_there_is_a_sentence(folder: Path, data: str, says: str) -> None:
    (folder / ".git" / "config.txt").unlink()
    with pytest.raises(CorpusError) as error:
        source_files(data)
    assert str(error.value).startswith(says)


def test_a_closed_folder_is_named_with_the_reason() -> None:
    with public_folder() as folder, closed(folder), pytest.raises(CorpusError, match="Permission"):
        source_files(str(folder))


@pytest.mark.parametrize("data", ["auto", "tinyshakespeare", "-", "hf:someone/something"])
def test_a_name_that_is_no_path_stays(folder: Path, data: str) -> None:
    assert absolute(data) == data
    assert names(data) == [data]
    assert absolute("hf:deep") == f"hf:{folder / 'deep'}"
