"""Tokens of large texts: encoded once, found again, never taken for whole when they are not."""

import dataclasses
import errno
import functools
import json
import os
import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygpt.config import Shares
from tinygpt.data import encoding, token_cache
from tinygpt.data import tokenizer as tokenizer_module
from tinygpt.data.corpus import Corpus
from tinygpt.data.documents import Chunk
from tinygpt.data.encoding import Encoded, encode
from tinygpt.data.scan import scan
from tinygpt.data.token_cache import FILES, JOURNAL
from tinygpt.data.token_files import HEADER
from tinygpt.data.vocabulary import make_tokenizer
from tinygpt.errors import CorpusError
from tinygpt.files.folder_lock import sole_holder

TEXT = "the cat sat on the mat, and that was that.\n日本語\n" * 101
SHARES = Shares(0.13, 0.07)


def corpus_of(text: str, documents: int = 1) -> Corpus:
    """The corpus of a text, several times over, read in chunks."""
    chunks = [
        Chunk(text[start : start + 97], start + 97 >= len(text))
        for _ in range(documents)
        for start in range(0, len(text), 97)
    ]
    return Corpus("a.txt", scan(chunks), lambda: iter(chunks), "")


CORPUS = corpus_of(TEXT)
TOKENIZER = make_tokenizer("bpe", [CORPUS], SHARES)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the tokens; texts of any size are kept in it, in many small batches."""
    monkeypatch.setenv("TINYGPT_CACHE", str(tmp_path))
    monkeypatch.setattr(encoding, "SMALL", 0)
    monkeypatch.setattr(encoding, "BATCH", 211)
    monkeypatch.setattr(tokenizer_module, "PIECE", 53)
    return tmp_path / "tokens"


@functools.cache
def in_memory(corpus: Corpus) -> Encoded:
    """The tokens of a text that is small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "SMALL", 1 << 30)
        return encode(make_tokenizer("bpe", [corpus], SHARES), [corpus], SHARES)


def same(one: Encoded, other: Encoded) -> bool:
    """Whether the tokens are the same."""
    return all(a.tolist() == b.tolist() for a, b in zip(one.splits, other.splits, strict=True))


def failing(corpus: Corpus, after: int, error: BaseException) -> Corpus:
    """A corpus that cannot be read beyond so many chunks."""

    def chunks() -> Iterator[Chunk]:
        for number, chunk in enumerate(corpus.chunks()):
            if number == after:
                raise error
            yield chunk

    return dataclasses.replace(corpus, chunks=chunks)


@pytest.mark.parametrize("documents", [1, 3])
def test_tokens_are_those_in_memory_and_are_found_again(cache: Path, documents: int) -> None:
    corpus = corpus_of(TEXT, documents)
    tokenizer = make_tokenizer("bpe", [corpus], SHARES)
    first = encode(tokenizer, [corpus], SHARES)
    assert same(first, in_memory(corpus))
    (folder,) = cache.iterdir()
    assert {file.name for file in folder.iterdir()} == {*FILES, HEADER}
    assert (folder / FILES[0]).stat().st_size == 2 * len(first.train)
    first.release()
    assert same(first, in_memory(corpus))
    unread = failing(corpus, 0, AssertionError("it is read again"))
    assert same(encode(tokenizer, [unread], SHARES), first)


def test_large_vocabularies_take_four_bytes(cache: Path) -> None:
    text = "".join(chr(0x10000 + n) for n in range(66_000))
    corpus = corpus_of(text)
    found = encode(make_tokenizer("char", [corpus], Shares()), [corpus])
    assert found.train.tolist()[-3:] == [59_397, 59_398, 59_399]
    (folder,) = cache.iterdir()
    assert (folder / FILES[0]).stat().st_size == 4 * 59_400


def test_other_tokens_are_kept_elsewhere(cache: Path) -> None:
    other = make_tokenizer("bpe", [CORPUS], SHARES, 261)
    encode(TOKENIZER, [CORPUS], SHARES)
    encode(other, [CORPUS], SHARES)
    encode(TOKENIZER, [CORPUS], Shares(0.2))
    encode(TOKENIZER, [CORPUS, CORPUS], Shares(0.0))
    assert len([*cache.iterdir()]) == 4


def test_an_encoding_is_saved_now_and_then(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_cache, "SAVED_EVERY", 0.0)
    with pytest.raises(AssertionError):
        encode(TOKENIZER, [failing(CORPUS, 17, AssertionError())], SHARES)
    (part,) = cache.iterdir()
    state = json.loads((part / JOURNAL).read_text())
    assert state["characters"] > 11 * 97
    assert sum((part / name).stat().st_size for name in FILES) == 2 * sum(state["tokens"])


@pytest.mark.parametrize("after", [1, 17, 40])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_an_interrupted_encoding_goes_on_where_it_was(
    cache: Path, after: int, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(type(error)):
        encode(TOKENIZER, [failing(CORPUS, after, error)], SHARES)
    assert [folder.suffix for folder in cache.iterdir()] == [".part"]
    encoded = []
    many = type(TOKENIZER).encode_many

    def noted(texts: list[str]) -> list[str]:
        encoded.extend(texts)
        return texts

    monkeypatch.setattr(
        type(TOKENIZER),
        "encode_many",
        lambda self, texts: many(self, noted(texts)),
    )
    found = encode(TOKENIZER, [CORPUS], SHARES)
    assert "".join(encoded) == TEXT[-len("".join(encoded)) :]
    assert len("".join(encoded)) <= len(TEXT) - (after - 5) * 97
    assert same(found, in_memory(CORPUS))
    assert [folder.suffix for folder in cache.iterdir()] == [""]


@settings(max_examples=40)
@given(st.lists(st.integers(0, 999), min_size=4, max_size=4), st.integers(0, 3))
def test_a_killed_encoding_goes_on_or_begins_again(
    tmp_path_factory: pytest.TempPathFactory, lost: list[int], damage: int
) -> None:
    """Files may be longer than the journal says, and after a power cut shorter."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYGPT_CACHE", str(folder))
        with pytest.raises(KeyboardInterrupt):
            encode(TOKENIZER, [failing(CORPUS, 23, KeyboardInterrupt())], SHARES)
        (part,) = (folder / "tokens").iterdir()
        for name, size in zip(FILES, lost, strict=False):
            if damage == 1:
                os.truncate(part / name, size)
            elif damage:
                with open(part / name, "ab") as file:
                    file.write(bytes(size))
        if damage == 3:
            os.truncate(part / JOURNAL, lost[3] % 40)
        assert same(encode(TOKENIZER, [CORPUS], SHARES), in_memory(CORPUS))


@pytest.mark.parametrize("name", [*FILES, HEADER])
@pytest.mark.parametrize("how", ["gone", "shorter", "longer", "empty", "folder"])
def test_damaged_tokens_are_encoded_again(cache: Path, name: str, how: str) -> None:
    encode(TOKENIZER, [CORPUS], SHARES)
    (folder,) = cache.iterdir()
    path = folder / name
    raw = path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how != "gone":
        path.write_bytes({"shorter": raw[:-1], "longer": raw + b"\0\0", "empty": b""}[how])
    assert same(encode(TOKENIZER, [CORPUS], SHARES), in_memory(CORPUS))


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from(["width", "tokens", "text", "tokenizer", "times", "other"]),
        st.none() | st.integers(-(2**70), 2**70) | st.text() | st.lists(st.integers(), max_size=4),
        min_size=1,
    )
)
def test_no_header_makes_more_of_the_files_than_they_are(
    tmp_path_factory: pytest.TempPathFactory, changed: dict[str, object]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "headers"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYGPT_CACHE", str(folder))
        encode(TOKENIZER, [CORPUS], SHARES)
        (path,) = (folder / "tokens").iterdir()
        header = json.loads((path / HEADER).read_text())
        (path / HEADER).write_text(json.dumps({**header, **changed}))
        assert same(encode(TOKENIZER, [CORPUS], SHARES), in_memory(CORPUS))


def test_wrong_ids_are_encoded_again(cache: Path) -> None:
    wanted = encode(TOKENIZER, [CORPUS], SHARES).train.tolist()
    (folder,) = cache.iterdir()
    ids = np.array(wanted, "<u2")
    ids[7] = TOKENIZER.vocab_size
    (folder / FILES[0]).write_bytes(ids.tobytes())
    os.utime(folder / FILES[0], ns=(7, 7))
    assert encode(TOKENIZER, [CORPUS], SHARES).train.tolist() == wanted


def test_a_text_that_changes_meanwhile_is_refused(cache: Path) -> None:
    for text in (TEXT[:-7], TEXT + "more", TEXT.replace("cat", "bat")):
        changed = dataclasses.replace(CORPUS, chunks=corpus_of(text).chunks)
        with pytest.raises(CorpusError, match=r"^a\.txt has changed while it was read: start aga"):
            encode(TOKENIZER, [changed], SHARES)
        assert not [*cache.iterdir()]


def test_a_disk_that_is_too_small_is_found_at_the_beginning(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100))
    with pytest.raises(CorpusError, match=r"take about 0\.0 GB more in .*set TINYGPT_CACHE"):
        encode(TOKENIZER, [failing(CORPUS, 17, AssertionError("it is read on"))], SHARES)
    assert [folder.suffix for folder in cache.iterdir()] == [".part"]
    monkeypatch.undo()


def test_a_disk_that_is_full_is_a_sentence(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tinygpt.files.atomic.sync_to_disk", full)
    with pytest.raises(
        CorpusError, match=r"cannot be kept in .* \(No space left on device\): free"
    ):
        encode(TOKENIZER, [CORPUS], SHARES)
    monkeypatch.undo()
    assert [folder.suffix for folder in cache.iterdir()] == [".part"]


def test_a_text_that_another_process_encodes_is_waited_for(cache: Path) -> None:
    wanted = encode(TOKENIZER, [CORPUS], SHARES)
    (final,) = cache.iterdir()
    part = final.rename(cache / f"{final.name}.part")
    waits = []
    with sole_holder(part) as alone:
        assert alone

        def report(what: str, _done: float, _of: float) -> None:
            waits.append(what)
            if len(waits) == 2:
                shutil.copytree(part, final, copy_function=shutil.copy2)

        assert same(encode(TOKENIZER, [CORPUS], SHARES, report), wanted)
    assert waits == ["waiting for another run that encodes"] * 2
