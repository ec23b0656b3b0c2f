"""`CudaGraphDecoder` is held to `GPT.run`; on a GPU by a graph, else without."""

import pytest
import torch

from tests.helpers.models import tiny
from tests.helpers.readers import MODELS, both
from tinygpt.config import MoEConfig
from tinygpt.generation import cuda_graph_decoder
from tinygpt.generation.cuda_graph_decoder import CudaGraphDecoder

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
MADE = torch.randint(13, (37,), generator=torch.Generator().manual_seed(3)).tolist()


@MODELS
@pytest.mark.parametrize("prompt", [0, 1, 7, 11])
def test_equals_the_whole_model_within_the_context_and_past_it(
    moe: MoEConfig | None, prompt: int
) -> None:
    model = tiny(moe=moe).eval().to(DEVICE)
    reader = CudaGraphDecoder(model)
    both(reader, model, MADE[:prompt], MADE[prompt:])  # the context is 11: the ring goes round
    both(reader, model, MADE[5:8], MADE[8:])  # and another text, over what the first left there


def test_goes_on_where_no_graph_can_be_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(cuda_graph_decoder, "suits", lambda _: True)
    monkeypatch.setattr(cuda_graph_decoder, "graph_of", refuse)
    model = tiny().eval().to(DEVICE)
    with pytest.warns(UserWarning, match=r"without \(operation not permitted .* capturing\)"):
        both(CudaGraphDecoder(model), model, MADE[:3], MADE[3:])
