"""Exported tokenizers, run by the library that reads them elsewhere."""

import json

import pytest
import tokenizers

from tests.helpers.models import TEXT
from tinygpt.data.characters import CharTokenizer
from tinygpt.data.subword import BPETokenizer, WordPieceTokenizer
from tinygpt.data.tokenizer import END_OF_TEXT, Tokenizer
from tinygpt.export.tokenizer_json import tokenizer_config, tokenizer_json

TEXTS = [TEXT[:301], " ", "\n\n  two\t spaces\r\n", "don't . , !", "naïve 道 😀\u0301", "\x00<unk>"]
CHARACTERS = CharTokenizer.train("".join(TEXTS))


def tokenizers_to_try() -> list[Tokenizer]:
    found: list[Tokenizer] = [CHARACTERS, CHARACTERS.with_end_of_text()]
    for kind, size in ((BPETokenizer, 311), (WordPieceTokenizer, 613)):
        trained = kind.train([TEXT], size)
        found += [trained, trained.with_end_of_text()]
    return found


@pytest.mark.parametrize("tokenizer", tokenizers_to_try(), ids=lambda t: f"{t.kind}{t.vocab_size}")
def test_ids_and_texts_are_the_same(tokenizer: Tokenizer) -> None:
    exported = tokenizers.Tokenizer.from_str(json.dumps(tokenizer_json(tokenizer)))
    assert exported.get_vocab_size() == tokenizer.vocab_size
    for text in TEXTS:
        ids = exported.encode(text).ids
        assert ids == tokenizer.encode(text)
        assert exported.decode(ids) == text


def test_the_end_of_a_text_is_a_special_token() -> None:
    tokenizer = CHARACTERS.with_end_of_text()
    exported = tokenizers.Tokenizer.from_str(json.dumps(tokenizer_json(tokenizer)))
    assert exported.token_to_id(END_OF_TEXT) == tokenizer.end_of_text
    assert exported.encode(f"a{END_OF_TEXT}").ids == [*tokenizer.encode("a"), tokenizer.end_of_text]
    assert exported.decode([*tokenizer.encode("a"), tokenizer.vocab_size - 1]) == "a"


def test_an_unknown_character_is_an_error() -> None:
    exported = tokenizers.Tokenizer.from_str(json.dumps(tokenizer_json(CHARACTERS)))
    with pytest.raises(Exception, match=r"Missing \[UNK\] token"):
        exported.encode("Ж")


def test_padding_is_on_the_left_by_the_end_of_a_text() -> None:
    config = tokenizer_config(CHARACTERS.with_end_of_text(), 17)
    assert (config["eos_token"], config["pad_token"]) == (END_OF_TEXT, END_OF_TEXT)
    assert (config["padding_side"], config["model_max_length"]) == ("left", 17)
    assert "pad_token" not in tokenizer_config(CHARACTERS, 17)
