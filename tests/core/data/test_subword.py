"""Byte-level BPE and WordPiece: nothing is lost, and what is trained is always the same."""

import json
import random
import unicodedata
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygpt.data import byte_level, subword
from tinygpt.data import tokenizer as tokenizer_module
from tinygpt.data.subword import (
    BPETokenizer,
    SubwordTokenizer,
    WordPieceTokenizer,
    from_description,
)
from tinygpt.data.tokenizer import StreamDecoder, pieces, text_lengths
from tinygpt.data.tokenizer_file import known_characters, load_tokenizer, save_tokenizer
from tinygpt.errors import TokenizerError

TEXT = (
    "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak.\n\n"
    "def f(x):\n    return {x: 1,\t'y': 2}\r\n\r\n"
    * 7
    + "吾輩は猫である。名前はまだ無い。\nДо свидания, друзья!\nمرحبا بالعالم\n" * 5  # noqa: RUF001
)
KINDS: dict[str, BPETokenizer | WordPieceTokenizer] = {
    "bpe": BPETokenizer.train([TEXT], 397),
    "wordpiece": WordPieceTokenizer.train([TEXT], 701),
}
HARD = [
    "",
    "\n",
    "\r\n\r\n \n",
    "a\x00b\x07\x1b[2J\u2028\u2029\x85",
    "e\u0301 \u00e9 " + unicodedata.normalize("NFD", "Ångström"),
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪",
    "Ελληνικά русский 中文 日本語 עברית हिन्दी",
    "  leading,   many   spaces   ",
    "\u2027 \u0120word\u0120 [UNK] <|endoftext|>",
    "x" * 1000,
    " " * 1000 + "y",
    "\ufeffBOM",
    "\U0010ffff\uffff\ufffd",
]


@pytest.fixture(params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> BPETokenizer | WordPieceTokenizer:
    return KINDS[request.param]


@pytest.mark.parametrize("text", HARD)
def test_hard_texts_come_back_as_they_were(tokenizer: SubwordTokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.sampled_from([*KINDS]), st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_comes_back_as_it_was(kind: str, text: str) -> None:
    tokenizer = KINDS[kind]
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    lengths, begun = text_lengths(tokenizer)
    assert lengths[ids].sum() == len(text.encode())
    assert begun[ids].sum() == len(text)


@given(st.sampled_from([*KINDS]), st.text(st.sampled_from("añ👩‍ \n日")))
def test_a_stream_shows_whole_characters_only(kind: str, text: str) -> None:
    tokenizer = KINDS[kind]
    decoder = StreamDecoder(tokenizer)
    shown = ""
    for index in tokenizer.encode(text):
        shown += decoder.push(index)
        assert text.startswith(shown)
    assert shown == text


@given(st.lists(st.integers(0, 255), max_size=31))
def test_bytes_that_are_no_text_still_decode(ids: list[int]) -> None:
    decoder = StreamDecoder(KINDS["bpe"])
    streamed = "".join(decoder.push(index) for index in ids)
    assert KINDS["bpe"].decode(ids).startswith(streamed)


pieces_of_text = st.lists(
    st.sampled_from(
        ["a", "Be", "'s", " ", "  ", "\n", "\r\n", "\t", "!", "12", "日本", "\x1c", "\u2028"]
    )
)


@given(st.sampled_from([*KINDS, "llama", "qwen", "digits"]), pieces_of_text, st.integers(1, 13))
def test_pieces_have_the_tokens_of_the_whole(kind: str, parts: list[str], size: int) -> None:
    tokenizer, text = {**KINDS, **FOREIGN}[kind], "".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer_module, "PIECE", size)
        found = list(pieces(tokenizer, text))
    assert "".join(found) == text
    assert [i for piece in found for i in tokenizer.encode(piece)] == tokenizer.encode(text)


def test_a_text_without_a_place_to_cut_is_cut_all_the_same(
    tokenizer: SubwordTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer_module, "PIECE", 13)
    monkeypatch.setattr(tokenizer_module, "LONGEST_PIECE", 41)
    text = "日本語" * 101
    found = list(pieces(tokenizer, text))
    assert "".join(found) == text
    assert max(map(len, found)) == 41
    assert tokenizer.decode(tokenizer.encode_array(text).tolist()) == text


def test_the_end_of_a_text_is_a_token_after_all_others(tokenizer: SubwordTokenizer) -> None:
    assert tokenizer.end_of_text is None
    ended = tokenizer.with_end_of_text()
    assert ended.end_of_text == tokenizer.vocab_size == ended.vocab_size - 1
    assert ended.with_end_of_text() is ended
    assert ended.encode(TEXT) == tokenizer.encode(TEXT)
    assert ended.token_text(tokenizer.vocab_size) == "<|endoftext|>"
    assert ended.token_bytes(tokenizer.vocab_size) == b""
    assert ended.decode([tokenizer.vocab_size, *tokenizer.encode("a")]) == "a"
    assert tokenizer.vocab_size not in ended.encode("<|endoftext|>")
    assert from_description(json.loads(ended.to_json())) == ended


def test_an_array_holds_the_same_ids(
    tokenizer: SubwordTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer_module, "PIECE", 41)
    monkeypatch.setattr(subword, "PIECES", 3)
    ids = tokenizer.encode_array(TEXT)
    assert ids.dtype == "uint16"
    assert ids.tolist() == tokenizer.encode(TEXT)
    assert tokenizer.encode_array("").tolist() == []


def test_training_twice_gives_the_same(
    tokenizer: BPETokenizer | WordPieceTokenizer,
) -> None:
    for _ in range(3):
        assert type(tokenizer).train([TEXT], tokenizer.vocab_size) == tokenizer


def test_a_text_may_be_too_small_for_the_vocabulary() -> None:
    assert BPETokenizer.train(["ab"], 10_000).vocab_size == 257
    assert BPETokenizer.train([""], 10_000).vocab_size == 256
    assert WordPieceTokenizer.train([""], 10_000).vocab_size == 512


@pytest.mark.parametrize("kind", [BPETokenizer, WordPieceTokenizer])
def test_a_vocabulary_without_every_byte_is_refused(kind: type[BPETokenizer]) -> None:
    with pytest.raises(TokenizerError, match=f"at least {kind.SMALLEST}, as every byte"):
        kind.train([TEXT], kind.SMALLEST - 1)


def test_files_are_read_by_hugging_face_too(tokenizer: SubwordTokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    save_tokenizer(tokenizer, path)
    other = tokenizers.Tokenizer.from_file(str(path))
    for text in (TEXT, *HARD):
        ids = other.encode(text, add_special_tokens=False).ids
        assert ids == tokenizer.encode(text)
        assert other.decode(ids) == text


def test_a_file_holds_everything(tokenizer: SubwordTokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    save_tokenizer(tokenizer, path)
    loaded = load_tokenizer(path)
    assert loaded == tokenizer
    assert type(loaded) is type(tokenizer)
    assert loaded.to_json() == tokenizer.to_json()
    assert known_characters(path) is None


def test_lone_surrogates_are_refused(tokenizer: SubwordTokenizer) -> None:
    with pytest.raises(TokenizerError, match="lone surrogate"):
        tokenizer.encode("a\ud800")
    with pytest.raises(TokenizerError, match="lone surrogate"):
        tokenizer.encode_array("a\ud800")


@pytest.mark.parametrize("ids", [[-1], [100_000], ["a"]])
def test_wrong_ids(tokenizer: SubwordTokenizer, ids: list[int]) -> None:
    with pytest.raises(TokenizerError):
        tokenizer.decode(ids)


def test_parts_of_characters_are_shown_as_bytes(tokenizer: SubwordTokenizer) -> None:
    shown = [tokenizer.token_text(index) for index in tokenizer.encode("é")]
    assert shown == ["<0xC3>", "<0xA9>"]
    assert [tokenizer.token_text(i) for i in tokenizer.encode("Citizen:")][-1] == ":"


def _foreign(pre_tokenizer: object, special: object = ()) -> SubwordTokenizer:
    description = {**KINDS["bpe"].description, "pre_tokenizer": pre_tokenizer}
    return subword.from_description({**description, "added_tokens": list(special)})  # type: ignore[call-overload]


def _split(regex: str) -> dict[str, object]:
    split = {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [split, {"type": "ByteLevel", "use_regex": False}]}


FOREIGN = {
    "llama": _foreign(_split(byte_level.KNOWN_PATTERNS[0])),
    "qwen": _foreign(_split(byte_level.KNOWN_PATTERNS[1])),
    "digits": _foreign(
        {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                {"type": "ByteLevel", "add_prefix_space": True},
            ],
        }
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("text", HARD)
def test_other_ways_to_cut_words_lose_nothing(name: str, text: str) -> None:
    assert FOREIGN[name].decode(FOREIGN[name].encode(text)) == text


def test_a_special_token_in_a_text_is_text() -> None:
    end = {"id": 397, "content": "<|endoftext|>", "special": True, "lstrip": True}
    tokenizer = _foreign({"type": "ByteLevel"}, [end])
    ids = tokenizer.encode("a <|endoftext|>b")
    assert 397 not in ids
    assert tokenizer.decode(ids) == "a <|endoftext|>b"
    assert tokenizer.vocab_size == 398
    assert tokenizer.token_text(397) == "<|endoftext|>"
    assert tokenizer.token_bytes(397) == b""
    assert tokenizer.decode([397, *tokenizer.encode("b")]) == "b"


def test_nfc_is_left_out() -> None:
    description = {**KINDS["bpe"].description, "normalizer": {"type": "NFC"}}
    tokenizer = subword.from_description(description)
    assert tokenizer.decode(tokenizer.encode("e\u0301")) == "e\u0301"


def _changed(**changes: object) -> dict[str, object]:
    return {**KINDS["bpe"].description, **changes}


def _model(**changes: object) -> dict[str, object]:
    return _changed(model={**KINDS["bpe"].description["model"], **changes})


VOCABULARY = KINDS["bpe"].description["model"]["vocab"]


@pytest.mark.parametrize(
    ("description", "why"),
    [
        (_changed(model=7), "no model"),
        (_changed(model={"type": "Unigram"}), "'Unigram'"),
        (_changed(normalizer={"type": "Lowercase"}), "normalizer"),
        (_changed(pre_tokenizer=None), "cuts text by None"),
        (_changed(pre_tokenizer={"type": "Whitespace"}), "'Whitespace'"),
        (_changed(pre_tokenizer=_split("(a+)+$")), "regular expression that is not known"),
        (_changed(pre_tokenizer={"type": "ByteLevel", "use_regex": False}), "words of bytes"),
        (_changed(added_tokens=[{"content": "x"}]), "added token"),
        (_changed(added_tokens=[{"content": "<e>", "id": 10**18}]), "ids are not those from 0"),
        (_model(vocab=[]), "no vocabulary"),
        (_model(vocab={}), "no token for byte"),
        (_model(vocab={**VOCABULARY, "aaa": 2**62}), "ids are not those from 0"),
        (_model(vocab={**VOCABULARY, "aaa": 5}), "ids are not those from 0"),
        (_model(vocab={**VOCABULARY, "aaa": -1}), "ids are not those from 0"),
        (_model(vocab={**VOCABULARY, "aaa": True}), "no vocabulary"),
        (_model(vocab={**VOCABULARY, "日": 397}), "not of bytes"),
        (_model(merges=[["a", "zzz"]]), "merge"),
        (_model(vocab={**VOCABULARY, "\u2027a": 397}), "not of bytes"),
        (_changed(added_tokens=[{"content": "!", "id": VOCABULARY["!"]}]), "token of a text"),
        (_changed(added_tokens=[{"content": "\ud800", "id": 397}]), "no text"),
        (_changed(added_tokens=[{"content": "<a>", "id": i} for i in (397, 398)]), "twice"),
        (
            {**KINDS["wordpiece"].description, "pre_tokenizer": {"type": "ByteLevel"}},
            "does not cut long words",
        ),
        (_model(merges="ab"), "not a list"),
        (_model(merges=[7]), "merge"),
        (_model(byte_fallback=True), "byte_fallback"),
        (_model(dropout=0.5), "dropout"),
    ],
)
def test_what_would_lose_text_is_refused(description: dict[str, object], why: str) -> None:
    with pytest.raises(TokenizerError, match=why):
        subword.from_description(description)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=7,
)


@settings(max_examples=300)
@given(st.sampled_from([*KINDS]), st.randoms(use_true_random=False), json_values)
def test_a_damaged_description_is_refused_or_harmless(
    kind: str, chance: random.Random, value: object
) -> None:
    description = dict(KINDS[kind].description)
    within = description if chance.random() < 0.5 else dict(description["model"])
    within[chance.choice([*within])] = value
    if within is not description:
        description["model"] = within
    try:
        tokenizer = subword.from_description(description)
    except TokenizerError:
        return
    assert tokenizer.decode(tokenizer.encode("Speak, 日\n")) == "Speak, 日\n"
