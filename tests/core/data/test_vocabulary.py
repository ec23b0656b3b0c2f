"""Which tokenizer a run gets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tinygpt.data import vocabulary
from tinygpt.data.subword import BPETokenizer
from tinygpt.data.tokenizer import Tokenizer
from tinygpt.data.tokenizer_file import FILE, save_tokenizer
from tinygpt.data.vocabulary import default_vocab_size, make_tokenizer
from tinygpt.errors import ConfigError

TEXT = "the cat sat on the mat, and that was that. " * 31 + "zyzzyva " * 17


def test_characters_are_those_of_the_whole_text() -> None:
    assert "z" in make_tokenizer("char", TEXT, 43).decode(range(17))


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_subwords_are_learned_from_the_training_split_alone(kind: str) -> None:
    train = 43 * 31
    other = TEXT[:train] + "qqqqqqqq " * 17
    assert make_tokenizer(kind, TEXT, train, 601) == make_tokenizer(kind, other, train, 601)
    assert make_tokenizer(kind, TEXT, train, 601) != make_tokenizer(kind, TEXT, len(TEXT), 601)


def test_a_large_text_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "SAMPLE", 640)
    whole = make_tokenizer("bpe", TEXT * 7, 43 * 31, 300)
    seen: list[str] = []

    def train(texts: Iterator[str], _: int) -> Tokenizer:
        seen.extend(texts)
        return whole

    monkeypatch.setattr(BPETokenizer, "train", train)
    make_tokenizer("bpe", TEXT * 7, 43 * 31, 300)
    assert [len(part) for part in seen] == [10] * vocabulary.BLOCKS
    assert seen[0] == TEXT[:10]
    assert seen[-1] == (TEXT * 7)[43 * 31 - 10 : 43 * 31]


@pytest.mark.parametrize(
    ("characters", "tokens"),
    [(1, 512), (100_000, 512), (1_003_854, 1024), (10_000_000, 8192), (10**10, 32_768)],
)
def test_the_default_size_follows_the_text(characters: int, tokens: int) -> None:
    assert default_vocab_size(characters) == tokens


def test_a_file_or_a_run_may_be_named(tmp_path: Path) -> None:
    trained = BPETokenizer.train([TEXT], 263)
    save_tokenizer(trained, tmp_path / FILE)
    assert make_tokenizer(str(tmp_path / FILE), "other", 5) == trained
    assert make_tokenizer(str(tmp_path), "other", 5) == trained


def test_a_file_that_cannot_be_used_is_named_with_the_flag(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--tokenizer: cannot read the tokenizer .*nowhere"):
        make_tokenizer(str(tmp_path / "nowhere.json"), TEXT, 43)
