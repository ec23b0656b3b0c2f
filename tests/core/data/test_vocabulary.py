"""Which tokenizer a run gets."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygpt.config import Shares
from tinygpt.data import vocabulary
from tinygpt.data.characters import CharTokenizer
from tinygpt.data.corpus import Corpus
from tinygpt.data.documents import Chunk
from tinygpt.data.scan import scan
from tinygpt.data.splits import split_sizes
from tinygpt.data.subword import BPETokenizer
from tinygpt.data.tokenizer import Tokenizer
from tinygpt.data.tokenizer_file import FILE, save_tokenizer
from tinygpt.data.vocabulary import default_vocab_size, make_tokenizer
from tinygpt.errors import ConfigError

TEXT = "the cat sat on the mat, and that was that. " * 31 + "zyzzyva " * 17


def of(text: str) -> list[Corpus]:
    """The corpus of one document."""
    return [Corpus.of("a", text, "")]


def documents(*texts: str) -> Corpus:
    """The corpus of several."""
    chunks = [Chunk(text, ends=True) for text in texts]
    return Corpus("a", scan(chunks), lambda: chunks, "")


def test_characters_are_those_of_the_whole_text() -> None:
    assert "z" in make_tokenizer("char", of(TEXT), Shares(0.5)).decode(range(17))
    other = of(TEXT) + of("é")
    assert "é" in make_tokenizer("char", other, Shares(0.0)).decode(range(18))


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_subwords_are_learned_from_the_training_split_alone(kind: str) -> None:
    shares = Shares(0.0925)
    train, validation, _ = split_sizes(len(TEXT), shares)
    other = of(TEXT[:train] + "q" * validation)
    found = make_tokenizer(kind, of(TEXT), shares, 601)
    assert found == make_tokenizer(kind, other, shares, 601)
    assert found != make_tokenizer(kind, of(TEXT), Shares(0.0), 601)


def test_a_large_text_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "SAMPLE", 640)
    whole = make_tokenizer("bpe", of(TEXT), Shares(), 300)
    seen: list[str] = []

    def train(texts: Iterator[str], _: int) -> Tokenizer:
        seen.extend(texts)
        return whole

    monkeypatch.setattr(BPETokenizer, "train", train)
    make_tokenizer("bpe", of(TEXT * 7), Shares(), 300)
    last, _, _ = split_sizes(len(TEXT) * 7)
    assert [len(part) for part in seen] == [10] * vocabulary.BLOCKS
    assert seen[0] == TEXT[:10]
    assert seen[-1] == (TEXT * 7)[last - 10 : last]


@given(st.lists(st.text(min_size=1, max_size=29), min_size=1), st.integers(1, 7))
def test_a_sample_does_not_depend_on_the_chunks(texts: list[str], size: int) -> None:
    cut = [
        Chunk(text[start : start + size], start + size >= len(text))
        for text in texts
        for start in range(0, len(text), size)
    ]
    whole, characters = documents(*texts), len("".join(texts))
    pieces = Corpus("a", whole.facts, lambda: cut, "")
    for wanted in (characters, characters // 2):
        sample = [*vocabulary._sample(whole, wanted)]
        assert sample == [*vocabulary._sample(pieces, wanted)]
        assert "".join(sample) == "".join(texts)[:wanted]


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_the_tokenizer_of_a_large_text_is_kept(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYGPT_CACHE", str(tmp_path))
    trained = make_tokenizer(kind, of(TEXT), Shares(), 523)
    assert not [*tmp_path.iterdir()]
    monkeypatch.setattr(vocabulary, "SMALL", 0)
    assert make_tokenizer(kind, of(TEXT), Shares(), 523) == trained
    (path,) = (tmp_path / "tokenizers").iterdir()
    kept = make_tokenizer(kind, of(TEXT), Shares(), 521)
    path.write_text(kept.to_json())
    assert make_tokenizer(kind, of(TEXT), Shares(), 523) == kept
    path.write_text("damaged")
    assert make_tokenizer(kind, of(TEXT), Shares(), 523) == trained
    assert make_tokenizer(kind, of(TEXT), Shares(0.2), 523) != kept


@pytest.mark.parametrize("kind", ["char", "bpe", "wordpiece"])
def test_documents_have_a_token_that_ends_them(kind: str) -> None:
    several = make_tokenizer(kind, [documents("a cat", "a mat")], Shares(), None)
    assert several.end_of_text == several.vocab_size - 1
    assert make_tokenizer(kind, of("a cat"), Shares(), None).end_of_text is None


def test_the_size_counts_the_token_that_ends_a_document() -> None:
    assert make_tokenizer("bpe", [documents(TEXT, TEXT)], Shares(), 263).vocab_size == 263


@pytest.mark.parametrize(
    ("characters", "tokens"),
    [(1, 512), (100_000, 512), (1_003_854, 1024), (10_000_000, 8192), (10**10, 32_768)],
)
def test_the_default_size_follows_the_text(characters: int, tokens: int) -> None:
    assert default_vocab_size(characters) == tokens


def test_a_file_or_a_run_may_be_named(tmp_path: Path) -> None:
    trained = BPETokenizer.train([TEXT], 263)
    save_tokenizer(trained, tmp_path / FILE)
    assert make_tokenizer(str(tmp_path / FILE), of("other"), Shares()) == trained
    assert make_tokenizer(str(tmp_path), of("other"), Shares()) == trained
    ended = make_tokenizer(str(tmp_path), [documents("one", "two")], Shares())
    assert ended == trained.with_end_of_text()


def test_a_file_that_cannot_be_used_is_named_with_the_flag(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--tokenizer: cannot read the tokenizer .*nowhere"):
        make_tokenizer(str(tmp_path / "nowhere.json"), of(TEXT), Shares())
    save_tokenizer(CharTokenizer.train("abc"), tmp_path / FILE)
    with pytest.raises(ConfigError) as error:
        make_tokenizer(str(tmp_path), of("abcé"), Shares())
    assert str(error.value) == (
        f"--tokenizer {tmp_path} does not know a character of the corpus, 'é' (U+00E9, latin small "
        "letter e with acute): take bpe, which knows every text"
    )
