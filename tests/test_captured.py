"""One token by `CapturedReader` is one token by `GPT.run`; on a GPU by a graph, else without."""

import pytest
import torch

from tests.conftest import tiny
from tinygpt.captured import CapturedReader
from tinygpt.config import MoEConfig
from tinygpt.model import GPT, Cache

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
MODELS = pytest.mark.parametrize(
    "moe", [None, MoEConfig(experts=5, top_k=1), MoEConfig(experts=5, top_k=2)]
)


def compare(reader: CapturedReader, model: GPT, tokens: list[int], prompt: int) -> None:
    """Read a prompt, then each token by both ways."""
    one, many = Cache(model.config), Cache(model.config)
    with torch.inference_mode():
        for cache in (one, many) if prompt else ():
            model.run(torch.tensor([tokens[:prompt]], device=DEVICE), cache)
        for token in tokens[prompt:]:
            logits, experts = reader.read(token, one)
            trace = model.run(torch.tensor([[token]], device=DEVICE), many)
            torch.testing.assert_close(logits, trace.logits[0, 0].cpu(), atol=1e-5, rtol=1e-5)
            assert list(experts) == [int(r.choice[0, 0]) for r in trace.routing]
            assert one.position == many.position


@MODELS
@pytest.mark.parametrize("prompt", [0, 1, 7, 11])
def test_equals_the_whole_model_within_the_context_and_past_it(
    moe: MoEConfig | None, prompt: int
) -> None:
    model = tiny(moe=moe).eval().to(DEVICE)
    made = torch.randint(13, (37,), generator=torch.Generator().manual_seed(3)).tolist()
    reader = CapturedReader(model)
    compare(reader, model, made, prompt)  # the context is 11: the ring goes round
    compare(reader, model, made[5:], 3)  # and another text, over what the first left there
