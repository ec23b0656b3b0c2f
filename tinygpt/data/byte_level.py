"""The byte level of subword tokenizers, and the files that describe them.

Each of the 256 bytes has a printable character of its own, as in GPT-2's vocabulary, and text
becomes such characters before it is cut into tokens; so every text can be encoded, and comes back
as it was. `checked` reads a tokenizer.json in Hugging Face's format and keeps what that needs. It
refuses what would lose something, and regular expressions other than the known ones, as one from a
stranger could take for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tinygpt.errors import TokenizerError

CONTINUES = "\u2027"
"""Marks WordPiece's tokens within a word: a hyphenation point, which is no byte's character."""
LONGEST_WORD = 64
"""Bytes that WordPiece cuts a word at: the time it takes grows with the square."""
UNKNOWN = "[UNK]"
"""What WordPiece calls a word that it cannot encode: there is none, nor is there such a token."""
LARGEST_VOCABULARY = 1 << 20

_PRINTABLE = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_REST = [byte for byte in range(256) if byte not in _PRINTABLE]
ALPHABET = {byte: chr(byte) for byte in _PRINTABLE} | {
    byte: chr(256 + number) for number, byte in enumerate(_REST)
}
"""The character that stands for each byte, as in GPT-2's vocabulary."""
_BYTES = {character: byte for byte, character in ALPHABET.items()}

_GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
KNOWN_PATTERNS = (_GPT4, _GPT4.replace(r"\p{N}{1,3}", r"\p{N}"))
"""Regular expressions that cut text into words, besides GPT-2's: those of Llama 3 and of Qwen 2."""

_BEFORE_SPACE = re.compile(r"(?<=\S)(?=[ \n])")
_BEFORE_BLANK = re.compile(r"(?<=\S)(?= )|(?<=\n)(?=\w)")
"""Where no word of these expressions continues: they take a line break with what is before it."""

_SPLIT_AS_GPT2 = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": True,
    "use_regex": True,
}
_ONLY_BYTES = {**_SPLIT_AS_GPT2, "use_regex": False}
_SHORT_WORDS = {"type": "FixedLength", "length": LONGEST_WORD}
_BPE = {
    "type": "BPE",
    "dropout": None,
    "unk_token": None,
    "continuing_subword_prefix": None,
    "end_of_word_suffix": None,
    "fuse_unk": False,
    "byte_fallback": False,
    "ignore_merges": False,
}
_WORDPIECE = {
    "type": "WordPiece",
    "unk_token": UNKNOWN,
    "continuing_subword_prefix": CONTINUES,
    "max_input_chars_per_word": LONGEST_WORD,
}


def bpe(vocabulary: Mapping[str, int], merges: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The tokenizer.json of a byte-pair encoding that cuts words as GPT-2 does."""
    return _described({**_BPE, "vocab": vocabulary, "merges": merges}, _SPLIT_AS_GPT2)


def wordpiece(vocabulary: Mapping[str, int]) -> dict[str, Any]:
    """The tokenizer.json of a WordPiece that cuts words as GPT-2 does."""
    words = _sequence(_SPLIT_AS_GPT2, _SHORT_WORDS)
    return _described({**_WORDPIECE, "vocab": vocabulary}, words)


def checked(data: Mapping[str, Any]) -> dict[str, Any]:
    """The tokenizer of a file in Hugging Face's format, without what would lose text: a normalizer
    (NFC is left out), a space before the text, tokens that are taken out of the text.

    Raises:
        TokenizerError: it is not at byte level, lacks a byte, is damaged, or has a regular
            expression that is not known.
    """
    model = data.get("model")
    if not isinstance(model, Mapping):
        raise TokenizerError("it has no model")
    kind = model.get("type", "BPE" if "merges" in model else None)
    if kind not in ("BPE", "WordPiece"):
        raise TokenizerError(
            f"its model is {kind!r}: only byte-level BPE and WordPiece can be read"
        )
    if not _is_lossless(data.get("normalizer")):
        raise TokenizerError("it has a normalizer, which changes the text")
    added = list(_special(data.get("added_tokens") or []))
    prefixes = ("",) if kind == "BPE" else ("", CONTINUES)
    vocabulary = _vocabulary(model.get("vocab"), added, prefixes)
    for prefix in prefixes:
        for byte, character in ALPHABET.items():
            if prefix + character not in vocabulary:
                raise TokenizerError(f"it is not at byte level: it has no token for byte {byte}")
    words = _words(data.get("pre_tokenizer"))
    wordpiece = kind == "WordPiece"
    own = _wordpiece(model, words) if wordpiece else _bpe(model, vocabulary, added)
    return _described({**own, "vocab": vocabulary}, words, added)


def _wordpiece(model: Mapping[str, Any], words: Mapping[str, Any]) -> dict[str, Any]:
    """What WordPiece needs besides its vocabulary, if it loses nothing."""
    if any(model.get(name) != _WORDPIECE[name] for name in _WORDPIECE if name != "unk_token"):
        raise TokenizerError("its WordPiece is not at byte level")
    if _SHORT_WORDS not in words.get("pretokenizers", ()):
        raise TokenizerError("its WordPiece does not cut long words, and would lose them")
    return _WORDPIECE


def _bpe(
    model: Mapping[str, Any], vocabulary: Mapping[str, int], special: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """What BPE needs besides its vocabulary, if it loses nothing."""
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"):
        if model.get(name):
            raise TokenizerError(f"it is not at byte level: it has a {name}")
    merges = [_merge(merge, vocabulary) for merge in _list(model.get("merges"), "merges")]
    ignore_merges = model.get("ignore_merges") is True
    made = {first + second for first, second in merges}
    for content in {entry["content"] for entry in special} & vocabulary.keys():
        if content in made or ignore_merges or content in _BYTES:
            raise TokenizerError("it has a special token that is also the token of a text")
    return {**_BPE, "ignore_merges": ignore_merges, "merges": merges}


def token_table(data: Mapping[str, Any]) -> list[bytes]:
    """The bytes of each token of a checked description; of a special token none, as it is not
    text."""
    vocabulary: Mapping[str, int] = data["model"]["vocab"]
    special = {entry["id"] for entry in data["added_tokens"]}
    table = [b""] * (len(vocabulary.keys() | {entry["content"] for entry in data["added_tokens"]}))
    continues = data["model"]["type"] == "WordPiece"
    for token, index in vocabulary.items():
        if index not in special:
            own = token.removeprefix(CONTINUES) if continues else token
            table[index] = bytes(_BYTES[character] for character in own)
    return table


def special_tokens(data: Mapping[str, Any]) -> dict[int, str]:
    """The tokens of a checked description that are not text, by id."""
    return {entry["id"]: entry["content"] for entry in data["added_tokens"]}


def cut(data: Mapping[str, Any], text: str, start: int) -> int | None:
    """The first place from `start` on where a text can be cut such that the tokens of its parts are
    those of the whole; None if there is none."""
    words = data["pre_tokenizer"]
    steps = words.get("pretokenizers", [words])
    split = any(step["type"] == "Split" for step in steps)
    found = (_BEFORE_BLANK if split else _BEFORE_SPACE).search(text, start)
    return found.start() if found else None


def special(content: str, index: int) -> dict[str, Any]:
    """A special token, as a tokenizer.json describes it."""
    return {
        "id": index,
        "content": content,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }


def _described(
    model: Mapping[str, Any], words: Mapping[str, Any], special: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    decoder: Mapping[str, Any] = _SPLIT_AS_GPT2
    if model["type"] == "WordPiece":
        unmark = {"type": "Replace", "pattern": {"String": CONTINUES}, "content": ""}
        decoder = {"type": "Sequence", "decoders": [unmark, _SPLIT_AS_GPT2]}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": list(special),
        "normalizer": None,
        "pre_tokenizer": words,
        "post_processor": None,
        "decoder": decoder,
        "model": model,
    }


def _sequence(*steps: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": list(steps)}


def _is_lossless(normalizer: Any) -> bool:
    """Whether the text is whole without it: there is none, or only NFC, which is left out."""
    if not isinstance(normalizer, Mapping):
        return normalizer is None
    steps: list[Any] = [normalizer]
    if normalizer.get("type") == "Sequence":
        steps = _list(normalizer.get("normalizers"), "normalizers")
    return all(isinstance(step, Mapping) and step.get("type") == "NFC" for step in steps)


def _words(found: Any) -> Mapping[str, Any]:
    """How text is cut into words: one of the known ways, without a space before the text."""
    steps = [found]
    if isinstance(found, Mapping) and found.get("type") == "Sequence":
        steps = _list(found.get("pretokenizers"), "pretokenizers")
    known = [_word_step(step) for step in steps]
    kinds = [step["type"] for step in known]
    splits = kinds.count("Split") + sum(step.get("use_regex", False) for step in known)
    if kinds.count("ByteLevel") != 1 or splits != 1:
        raise TokenizerError("it is not at byte level: it does not cut text into words of bytes")
    if "FixedLength" in kinds and kinds[-2:] != ["ByteLevel", "FixedLength"]:
        raise TokenizerError("it cuts text to a length before it cuts it into words")
    return known[0] if len(known) == 1 else _sequence(*known)


def _word_step(step: Any) -> dict[str, Any]:
    kind = step.get("type") if isinstance(step, Mapping) else None
    if kind == "ByteLevel":
        return _SPLIT_AS_GPT2 if step.get("use_regex", True) is True else _ONLY_BYTES
    if kind == "Digits":
        return {"type": "Digits", "individual_digits": step.get("individual_digits") is True}
    if kind == "FixedLength" and step.get("length") == LONGEST_WORD:
        return _SHORT_WORDS
    if kind == "Split" and step.get("behavior") == "Isolated" and step.get("invert") is False:
        pattern = step.get("pattern")
        regex = pattern.get("Regex") if isinstance(pattern, Mapping) else None
        if regex in KNOWN_PATTERNS:
            return {
                "type": "Split",
                "pattern": {"Regex": regex},
                "behavior": "Isolated",
                "invert": False,
            }
        raise TokenizerError("it cuts text by a regular expression that is not known")
    raise TokenizerError(f"it cuts text by {kind!r}, which is not known to be lossless")


def _special(entries: Any) -> Iterator[dict[str, Any]]:
    for entry in _list(entries, "added_tokens"):
        content = entry.get("content") if isinstance(entry, Mapping) else None
        index = entry.get("id") if isinstance(entry, Mapping) else None
        if not isinstance(content, str) or not content or type(index) is not int:
            raise TokenizerError("it has an added token without content or id")
        if any("\ud800" <= character <= "\udfff" for character in content):
            raise TokenizerError("it has an added token that is no text")
        yield special(content, index)


def _vocabulary(
    found: Any, special: Sequence[Mapping[str, Any]], prefixes: Sequence[str]
) -> dict[str, int]:
    """The vocabulary, whose ids, with those of the special tokens, are all from 0 up."""
    if not isinstance(found, Mapping) or any(type(index) is not int for index in found.values()):
        raise TokenizerError("it has no vocabulary of tokens with ids")
    ids = {entry["content"]: entry["id"] for entry in special}
    if len(ids) < len(special):
        raise TokenizerError("it has an added token twice")
    if any(found.get(token, index) != index for token, index in ids.items()):
        raise TokenizerError("it has an added token with another id than in the vocabulary")
    every = {**found, **ids}
    if len(every) > LARGEST_VOCABULARY:
        raise TokenizerError(f"it has more than {LARGEST_VOCABULARY:,} tokens")
    if sorted(every.values()) != list(range(len(every))):
        raise TokenizerError(f"its ids are not those from 0 to {len(every) - 1:,}, once each")
    for token in found:
        text = token.removeprefix(prefixes[-1])
        if token not in ids and not (text and all(c in _BYTES for c in text)):
            raise TokenizerError("it is not at byte level: it has a token that is not of bytes")
    return dict(found)


def _merge(found: Any, vocabulary: Mapping[str, int]) -> list[str]:
    parts = found.split(" ") if isinstance(found, str) else found
    if (
        not isinstance(parts, list)
        or len(parts) != 2
        or not all(isinstance(part, str) and part in vocabulary for part in parts)
        or parts[0] + parts[1] not in vocabulary
    ):
        raise TokenizerError("it has a merge that is not of two of its tokens to a third")
    return parts


def _list(found: Any, name: str) -> list[Any]:
    if not isinstance(found, list):
        raise TokenizerError(f"its {name} are not a list")
    return found
