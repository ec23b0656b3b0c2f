"""The cache: the window in order, in a buffer of the text's length."""

import pytest
import torch

from tests.helpers.checkpoints import TOKENIZER
from tests.helpers.memory import largest_tensor
from tests.helpers.models import tiny
from tinygpt.generation.decoding import SamplingParams, stream
from tinygpt.model.kv_cache import LayerCache
from tinygpt.model_config import ModelConfig


@pytest.mark.parametrize(
    ("context", "sizes"),
    [
        (5, (3, 1, 5, 1, 1, 4, 2, 1, 1, 1, 5)),
        (1999, (3, 1, 1020, 1, 7, 1500, 1, 1999, 700, 1, 1300, 1999, 1)),
    ],
)
def test_keeps_the_window_in_order(context: int, sizes: tuple[int, ...]) -> None:
    cache = LayerCache(ModelConfig(context=context))
    seen: list[float] = []
    for size in sizes:
        new = torch.arange(len(seen), len(seen) + size).float()
        seen += new.tolist()
        keys, values = cache.extend(new.view(1, 1, -1, 1), -new.view(1, 1, -1, 1))
        wanted = seen[-(context + size - 1) :]
        assert keys.flatten().tolist() == wanted
        assert values.flatten().tolist() == [-v for v in wanted]


def test_one_by_one_past_the_first_buffer() -> None:
    cache = LayerCache(ModelConfig(context=1500))
    for place in range(4000):
        entry = torch.tensor([[float(place)]]).numpy()
        keys, _ = cache.extend_by_one(entry, entry)
        assert (keys[0, 0, 0], keys[0, -1, 0], keys.shape[1]) == (
            max(0, place - 1499),
            place,
            min(place + 1, 1500),
        )


@pytest.mark.parametrize("prompt", ["a", "abcabc"])
def test_memory_follows_the_text_and_not_the_context(prompt: str) -> None:
    """A checkpoint may claim a context of 65,536."""
    model = tiny(context=65_536)
    with largest_tensor() as seen:
        list(stream(model, TOKENIZER, prompt, SamplingParams(seed=1, max_new_tokens=5)))
    assert 0 < seen.numbers <= 2 * 1024 * 12
