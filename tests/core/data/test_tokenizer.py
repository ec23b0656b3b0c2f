"""Characters to ids and back, in memory and on disk."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygpt.data.characters import CharTokenizer, summarize
from tinygpt.data.tokenizer_file import load_tokenizer, save_tokenizer
from tinygpt.errors import TokenizerError

texts = st.text(min_size=1)


@given(texts, st.data())
def test_round_trip(corpus: str, data: st.DataObject) -> None:
    tokenizer = CharTokenizer.train(corpus)
    text = data.draw(st.text(st.sampled_from(sorted(set(corpus)))))
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert len(ids) == len(text)
    assert all(0 <= i < tokenizer.vocab_size for i in ids)


@given(st.text(min_size=1), st.text())
def test_an_array_holds_the_same_ids(corpus: str, text: str) -> None:
    tokenizer = CharTokenizer.train(corpus)
    try:
        expected = tokenizer.encode(text)
    except TokenizerError as error:
        with pytest.raises(TokenizerError, match=re.escape(str(error))):
            tokenizer.encode_array(text)
    else:
        assert tokenizer.encode_array(text).tolist() == expected


@pytest.mark.parametrize(("size", "bytes_each"), [(256, 1), (257, 4)])
def test_an_array_takes_as_few_bytes_as_hold_the_ids(size: int, bytes_each: int) -> None:
    text = "".join(map(chr, range(size))) * 7000  # more than one piece
    ids = CharTokenizer.train(text).encode_array(text)
    assert ids.itemsize == bytes_each
    assert (ids.reshape(-1, size) == range(size)).all()


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_json_holds_everything(corpus: str) -> None:
    tokenizer = CharTokenizer.train(corpus)
    data = json.loads(tokenizer.to_json())
    assert CharTokenizer(data["characters"]) == tokenizer
    assert tokenizer.to_json().isascii()


def test_vocabulary_is_sorted() -> None:
    assert CharTokenizer.train("hello, world").characters == tuple(" ,dehlorw")


def test_unknown_character_is_named_with_its_place_and_what_is_allowed() -> None:
    tokenizer = CharTokenizer.train("\n abcdefxyz?")
    with pytest.raises(TokenizerError) as caught:
        tokenizer.encode("bad é")
    message = str(caught.value)
    assert "'é' (U+00E9, latin small letter e with acute) at position 4" in message
    assert "'a' to 'f', 'x', 'y', 'z'" in message


def test_an_unknown_character_of_several_lines_is_named_with_its_line() -> None:
    with pytest.raises(TokenizerError, match=r" at position 6 \(line 3\) of the text; it knows"):
        CharTokenizer.train("\nab").encode("a\nba\nbX")


def test_control_characters_do_not_reach_the_message() -> None:
    with pytest.raises(TokenizerError) as caught:
        CharTokenizer.train("ab").encode("a\x1b[2J")
    assert "\x1b" not in str(caught.value)
    assert "'\\x1b' (U+001B, control character) at position 1" in str(caught.value)


def test_summary_of_a_large_vocabulary_is_short() -> None:
    assert len(summarize([chr(i) for i in range(40, 40_000, 2)])) < 400


@pytest.mark.parametrize("ids", [[-1], [3], [0, 99], ["a"]])
def test_wrong_ids(ids: list[int]) -> None:
    with pytest.raises(TokenizerError):
        CharTokenizer.train("abc").decode(ids)


def test_file(tmp_path: Path) -> None:
    tokenizer = CharTokenizer.train("to be or not\r\n\u2028 ü")
    save_tokenizer(tokenizer, tmp_path / "tokenizer.json")
    assert load_tokenizer(tmp_path / "tokenizer.json") == tokenizer


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b'{"kind": "bpe"}',
        b'{"kind": "char"}',
        b'{"kind": "char", "characters": []}',
        b'{"kind": "char", "characters": ["b", "a"]}',
        b'{"kind": "char", "characters": ["ab"]}',
        b'{"kind": "char", "characters": [1]}',
        b'{"kind": "char", "characters": ["a", "a"]}',
    ],
)
def test_damaged_file_is_one_sentence_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(TokenizerError, match=r"tokenizer\.json"):
        load_tokenizer(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="No such file"):
        load_tokenizer(tmp_path / "tokenizer.json")
