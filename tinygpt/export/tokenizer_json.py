"""The tokenizer of a model as Hugging Face's libraries read it."""

from __future__ import annotations

from typing import Any

from tinygpt.data import byte_level
from tinygpt.data.byte_level import UNKNOWN
from tinygpt.data.characters import CharTokenizer
from tinygpt.data.subword import SubwordTokenizer
from tinygpt.data.tokenizer import Tokenizer


def tokenizer_json(tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of tokenizer.json: the same ids for every text, and the same text for ids.

    As is usual there, the name of a special token in a text is that token. A text with a character
    that a character tokenizer does not know is refused by the library `tokenizers`, too.
    """
    if isinstance(tokenizer, SubwordTokenizer):
        return tokenizer.description
    assert isinstance(tokenizer, CharTokenizer)
    end = tokenizer.end_of_text
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [] if end is None else [byte_level.special(tokenizer.token_text(end), end)],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": r"[\s\S]"},  # each character is a word
            "behavior": "Isolated",
            "invert": False,
        },
        "post_processor": None,
        "decoder": {"type": "Fuse"},
        "model": {
            "type": "WordLevel",
            "vocab": {character: index for index, character in enumerate(tokenizer.characters)},
            "unk_token": UNKNOWN,  # not in the vocabulary: an unknown character is an error
        },
    }


def tokenizer_config(tokenizer: Tokenizer, context: int) -> dict[str, Any]:
    """The content of tokenizer_config.json. Padding is on the left, where generation needs it, by
    the token that ends a text; without such a token there is none."""
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
    }
    if tokenizer.end_of_text is not None:
        name = tokenizer.token_text(tokenizer.end_of_text)
        config |= {"eos_token": name, "pad_token": name}
    return config
