"""Which token a character of a text belongs to."""

from pathlib import Path

import pytest

from tests.helpers.models import tiny
from tinygpt.checkpoint import Checkpoint
from tinygpt.data.subword import BPETokenizer
from tinygpt_tui.engine.inspect_jobs import inspect, token_at
from tinygpt_tui.engine.protocol import InspectRequest

TEXT = "the cat and the dog, 日本 the cat and the end"


@pytest.fixture
def checkpoint() -> Checkpoint:
    tokenizer = BPETokenizer.train([TEXT * 9], 271)
    model = tiny(vocab_size=tokenizer.vocab_size)
    return Checkpoint(model, tokenizer, "dense", 7, None, Path("run/dense/step-00000007"))


def test_the_token_of_a_character_begins_with_it_or_holds_it(checkpoint: Checkpoint) -> None:
    ids, tokenizer = checkpoint.tokenizer.encode(TEXT), checkpoint.tokenizer
    assert len(ids) < len(TEXT)
    for character in range(len(TEXT)):
        at = token_at(checkpoint, ids, character)
        before = tokenizer.decode(ids[:at])
        assert before.count("\ufffd") <= 1
        assert len(before.rstrip("\ufffd")) <= character
        assert len(tokenizer.decode(ids[: at + 1])) > character
    assert token_at(checkpoint, ids, len(TEXT)) == len(ids) - 1


@pytest.mark.parametrize("character", [0, 23, len(TEXT) - 1])
def test_a_window_is_around_the_token_of_a_character(
    checkpoint: Checkpoint, character: int
) -> None:
    found = inspect(InspectRequest(1, "", TEXT, None, character), checkpoint)
    ids = checkpoint.tokenizer.encode(TEXT)
    assert found.at == token_at(checkpoint, ids, character)
    assert found.start <= found.at < found.start + len(found.texts)
    assert len(found.texts) == checkpoint.model.config.context
    assert found.start == max(0, min(found.at - 11 // 2, len(ids) - 11))
