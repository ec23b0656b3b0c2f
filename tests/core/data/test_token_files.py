"""Corpora that are token ids already, such as nanoGPT's."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygpt.config import Shares
from tinygpt.data.corpus import Corpus, find_corpus
from tinygpt.data.encoding import encode
from tinygpt.data.subword import BPETokenizer
from tinygpt.data.token_files import is_token_file, open_tokens, token_folder
from tinygpt.data.vocabulary import make_tokenizer
from tinygpt.errors import CorpusError

TEXT = "the cat sat on the mat, and that was that.\n日本語\n" * 31
TOKENIZER = BPETokenizer.train([TEXT], 300).with_end_of_text()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The facts of the tests go elsewhere."""
    monkeypatch.setenv("TINYGPT_CACHE", str(tmp_path / "cache"))


def write(path: Path, ids: list[int], kind: str = "<u2") -> str:
    """A file of token ids."""
    path.write_bytes(np.array(ids, kind).tobytes())
    return str(path)


def test_the_arrays_are_used_as_they_are(tmp_path: Path) -> None:
    end = TOKENIZER.end_of_text
    assert end is not None
    train = [*TOKENIZER.encode(TEXT), end, *TOKENIZER.encode("a mat"), end]
    validation = TOKENIZER.encode("a cat\n" * 7)
    write(tmp_path / "train.bin", train)
    write(tmp_path / "val.bin", validation)
    files = token_folder(str(tmp_path))
    assert files is not None
    corpora = [find_corpus(path, tokenizer=TOKENIZER) for path in files]
    assert [corpus.text for corpus in corpora] == [TEXT + "a mat", "a cat\n" * 7]
    assert [corpus.characters for corpus in corpora] == [len(TEXT) + 5, 42]
    assert corpora[0].facts.size == len((TEXT + "a mat").encode())
    assert corpora[0].facts.opening == (TEXT + "a mat")[:4096]
    found = encode(TOKENIZER, corpora, Shares(0.0, 0.25))
    assert found.train.tolist() + found.test.tolist() == train
    assert len(found.test) == len(train) // 4
    assert found.validation.tolist() == validation
    found.release()
    assert found.validation.tolist() == validation
    assert find_corpus(files[0], tokenizer=TOKENIZER).facts == corpora[0].facts


def test_tokens_and_text_may_be_mixed(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.bin", TOKENIZER.encode(TEXT))
    corpora = [find_corpus(path, tokenizer=TOKENIZER), Corpus.of("a", "a cat", "")]
    found = encode(TOKENIZER, corpora, Shares(0.0))
    assert found.validation.tolist() == TOKENIZER.encode("a cat")
    assert found.train.tolist() == TOKENIZER.encode(TEXT)
    turned = encode(TOKENIZER, corpora[::-1], Shares(0.0))
    assert turned.validation.tolist() == TOKENIZER.encode(TEXT)


def test_a_named_tokenizer_stays_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.bin", TOKENIZER.encode(TEXT))
    (tmp_path / "tokenizer.json").write_text(TOKENIZER.to_json())
    corpus = find_corpus(path, tokenizer=TOKENIZER)
    assert make_tokenizer(str(tmp_path), [corpus], Shares()) == TOKENIZER


def test_a_header_may_say_that_ids_have_four_bytes(tmp_path: Path) -> None:
    wide = write(tmp_path / "train.bin", [0, 65_536, 70_000], "<u4")
    (tmp_path / "header.json").write_text('{"width": 4, "other": 7}')
    assert open_tokens(wide, 70_001).ids.tolist() == [0, 65_536, 70_000]
    (tmp_path / "header.json").write_text('{"width": 3}')
    assert open_tokens(wide, 70_001).ids.tolist() == [0, 0, 0, 1, 4464, 1]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "is empty: name a file such as nanoGPT's train.bin"),
        (b"\1\2\3", "is no array of ids of 2 bytes each: name a file such as"),
        (b"\0\0\xff\xff", "has the id 65,535, but the tokenizer has only 285 tokens: name the one"),
    ],
)
def test_what_cannot_be_used_is_a_sentence(tmp_path: Path, raw: bytes, says: str) -> None:
    path = tmp_path / "train.bin"
    path.write_bytes(raw)
    with pytest.raises(CorpusError) as error:
        find_corpus(str(path), tokenizer=TOKENIZER)
    assert str(error.value).startswith(f"--data {path} {says}")


@given(st.binary(max_size=99), st.binary(max_size=40))
def test_any_bytes_are_tokens_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, header: bytes
) -> None:
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "train.bin").write_bytes(raw)
    (folder / "header.json").write_bytes(header)
    try:
        assert len(open_tokens(str(folder / "train.bin"), 65_536).ids) * 2 == len(raw) > 0
    except CorpusError as error:
        assert str(error).startswith("--data ")  # noqa: PT017 - most are tokens


def test_the_tokenizer_has_to_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "train.bin", [1, 2, 3])
    with pytest.raises(
        CorpusError, match=r"has token ids instead of text: name what made them wit"
    ):
        find_corpus(path)
    assert is_token_file(path)
    assert token_folder(str(tmp_path)) is None
    assert token_folder("auto") is None
