"""The documents in a file."""

import gzip
import json
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tinygpt.data import documents
from tinygpt.data.documents import Chunk, is_plain, read_documents
from tinygpt.errors import CorpusError

TEXT = "one\r\ntwo é 日本\u2028 three\n" * 17
any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def texts(path: Path, field: str = "text") -> list[str]:
    """The documents of a file, each as a whole."""
    found, part = [], ""
    for text, ends in read_documents(str(path), field):
        part += text
        if ends:
            found.append(part)
            part = ""
    assert not part
    return found


def compressed(raw: bytes, ending: str) -> bytes:
    """`raw` as the files of this ending have it."""
    if ending == ".gz":
        return gzip.compress(raw)
    return zstandard.compress(raw) if ending == ".zst" else raw


@pytest.mark.parametrize("ending", ["", ".gz", ".zst", ".GZ"])
def test_a_text_is_one_document(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "BLOCK", 7)  # cuts characters
    monkeypatch.setattr(documents, "COMPRESSED_BLOCK", 13)
    path = tmp_path / f"a.txt{ending}"
    path.write_bytes(compressed(TEXT.encode(), ending.lower()))
    assert texts(path) == [TEXT]
    assert is_plain(str(path)) == (not ending)


@given(any_text, st.integers(1, 11))
def test_any_text_comes_back(
    tmp_path_factory: pytest.TempPathFactory, text: str, size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "BLOCK", size)
        assert texts(path) == ([text] if text else [])


@given(st.lists(any_text), st.sampled_from(["", ".gz", ".zst"]), st.integers(1, 11))
def test_jsonl_has_a_document_in_each_line(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[str], ending: str, size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any.jsonl{ending}"
    lines = "\n".join(json.dumps({"id": n, "text": text}) for n, text in enumerate(wanted))
    path.write_bytes(compressed(f"{lines}\n\n".encode(), ending))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "BLOCK", size)
        patch.setattr(documents, "COMPRESSED_BLOCK", size)
        assert texts(path) == [text for text in wanted if text]
        assert all(isinstance(chunk, Chunk) for chunk in read_documents(str(path)))


def test_compressed_streams_may_follow_each_other(tmp_path: Path) -> None:
    for ending in (".gz", ".zst"):
        path = tmp_path / f"a{ending}"
        path.write_bytes(compressed(b"one ", ending) + compressed(b"two", ending))
        assert texts(path) == ["one two"]


def test_another_key_may_hold_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": 7, "body": "one"}\n{"body": ""}\n')
    assert texts(path, "body") == ["one"]
    with pytest.raises(CorpusError) as error:
        texts(path)
    assert str(error.value) == (
        f"--data {path}: line 1 has no text at the key 'text': name it with --data-field "
        "(it has body)"
    )


@pytest.mark.parametrize(
    ("name", "raw", "says"),
    [
        ("a.txt", b"seven c\0", "is a binary file (NUL at byte 7): name a UTF-8 text file"),
        ("a.txt", b"caf\xe9 and", "is not UTF-8 text (invalid byte 0xe9 at byte 3): save it as UT"),
        ("a.txt", "naïve 日".encode()[:-1], "ends inside a character, at byte 7: it was cut off"),
        ("a.txt", "text".encode("utf-16"), "is UTF-16 text: convert it to UTF-8 with iconv -f UTF"),
        (
            "a.gz",
            gzip.compress(b"a" * 999, mtime=0)[:-9],
            "is a gzip file that is empty or cut off",
        ),
        ("a.gz", b"", "is a gzip file that is empty or cut off"),
        ("a.gz", b"plain text", "is a damaged gzip file"),
        ("a.zst", zstandard.compress(b"abc" * 999)[:-3], "zstandard file that is empty or cut off"),
        ("a.zst", b"plain text", "is a damaged zstandard file"),
        (
            "a.gz",
            gzip.compress(b"a\xff", mtime=0),
            "is not UTF-8 text (invalid byte 0xff at byte 1)",
        ),
        ("a.jsonl", b'{"text": "a"}\n{"text": ', "line 2 is not JSON"),
        ("a.jsonl", b"[7]", "line 1 has no text at the key 'text'"),
        ("a.jsonl", b'{"text": "\\ud800"}', "line 1 is not JSON"),
        ("a.jsonl", b"[" * 100_000, "line 1 is not JSON"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(
    tmp_path: Path, name: str, raw: bytes, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(raw)
    with pytest.raises(CorpusError) as error:
        texts(path)
    assert str(error.value).startswith(f"--data {path}")
    assert says in str(error.value)


def test_a_line_of_jsonl_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "LONGEST_LINE", 1 << 20)
    monkeypatch.setattr(documents, "BLOCK", 1 << 19)
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b" " * (40 << 20)))
    with pytest.raises(CorpusError, match="a line of more than 1 MiB"):
        texts(path)


@given(st.binary(max_size=99), st.sampled_from(["a.txt", "a.gz", "a.zst", "a.jsonl"]))
def test_any_bytes_are_a_text_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, name: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"fuzzed-{name}"
    path.write_bytes(raw)
    try:
        assert "".join(texts(path)) or not raw.strip()
    except CorpusError as error:
        assert str(error).startswith(f"--data {path}")  # noqa: PT017 - most are texts
