"""A corpus as token ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygpt.config import Shares
from tinygpt.data import encoding
from tinygpt.data import tokenizer as tokenizer_module
from tinygpt.data.corpus import Corpus
from tinygpt.data.documents import Chunk
from tinygpt.data.encoding import batches, encode
from tinygpt.data.scan import scan
from tinygpt.data.splits import Part, split, split_chunks
from tinygpt.data.vocabulary import make_tokenizer

KINDS = ["char", "bpe", "wordpiece"]
TEXT = "the cat sat on the mat, and that was that.\n" * 17 + "日本語の文章です。\n" * 13


def corpus_of(*texts: str, size: int = 11) -> Corpus:
    """The corpus of documents, read in chunks of so many characters."""
    chunks = [
        Chunk(text[start : start + size], start + size >= len(text))
        for text in texts
        for start in range(0, len(text), size)
    ]
    return Corpus("a", scan(chunks), lambda: chunks, "")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [7, 101, 10_007])
def test_one_document_is_encoded_as_its_splits(kind: str, size: int) -> None:
    """Of the same tokens as each split by itself, however it is read."""
    corpora, shares = [corpus_of(TEXT, size=size)], Shares(0.13, 0.07)
    tokenizer = make_tokenizer(kind, corpora, shares)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer_module, "PIECE", 29)
        patch.setattr(encoding, "BATCH", 83)
        found = encode(tokenizer, corpora, shares)
    for ids, part in zip(found.splits, split(TEXT, shares), strict=True):
        assert ids.tolist() == tokenizer.encode(part)
        assert tokenizer.decode(ids) == part


@pytest.mark.parametrize("kind", KINDS)
def test_documents_are_kept_apart(kind: str) -> None:
    texts = ["one", "two, and more", "t", "four"] * 7
    corpora, shares = [corpus_of(*texts)], Shares(0.2)
    tokenizer = make_tokenizer(kind, corpora, shares)
    found = encode(tokenizer, corpora, shares)
    end = tokenizer.end_of_text
    together = [*found.train.tolist(), *found.validation.tolist()]
    assert together.count(end) == len(texts)
    assert together[-1] == end
    assert tokenizer.decode(together) == "".join(texts)
    assert tokenizer.decode(found.train.tolist()) == split("".join(texts), shares)[0]


def test_another_text_may_be_the_validation_split() -> None:
    corpora, shares = [corpus_of("the cat sat " * 13), corpus_of("on the mat")], Shares(0.0, 0.25)
    tokenizer = make_tokenizer("char", corpora, shares)
    found = encode(tokenizer, corpora, shares)
    assert [tokenizer.decode(ids) for ids in found.splits] == [
        ("the cat sat " * 13)[:117],
        "on the mat",
        ("the cat sat " * 13)[117:],
    ]


@given(
    st.lists(st.text("ab \n", min_size=1, max_size=29), min_size=1, max_size=5),
    st.integers(1, 31),
    st.sampled_from([(0.5, 0.0), (0.1, 0.3), (0.0, 0.4)]),
)
def test_chunks_are_cut_where_splits_begin(
    texts: list[str], size: int, kept: tuple[float, float]
) -> None:
    whole, corpus, shares = "".join(texts), corpus_of(*texts, size=size), Shares(*kept)
    parts = [*split_chunks(corpus.chunks(), len(whole), shares)]
    for number, wanted in enumerate(split(whole, shares)):
        assert "".join(part.chunk.text for part in parts if part.split == number) == wanted
    assert sum(part.chunk.ends for part in parts) == len(texts)
    assert [*split_chunks(corpus_of(*texts, "more").chunks(), len(whole), shares)][-1].split < 3


def test_batches_may_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer_module, "PIECE", 13)
    monkeypatch.setattr(encoding, "BATCH", 40)
    tokenizer = make_tokenizer("bpe", [corpus_of(TEXT)], Shares())
    parts = [Part(0, Chunk(TEXT, ends=True))]
    every = [*batches(tokenizer, parts, ends=False)]
    assert len(every) > 9
    assert sum(batch.characters for batch in every) == len(TEXT)
    rest = [*batches(tokenizer, parts, ends=False, skip=5)]
    assert [batch.characters for batch in rest] == [batch.characters for batch in every[5:]]
