"""`CudaGraphDecoder` equals `GPT.run`: on a GPU with a graph, elsewhere without."""

import pytest
import torch

from tests.helpers.decoders import MODELS, assert_matches_model
from tests.helpers.models import tiny
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
    decoder = CudaGraphDecoder(model)
    assert_matches_model(
        decoder, model, MADE[:prompt], MADE[prompt:]
    )  # the context is 11: the ring goes round
    assert_matches_model(
        decoder, model, MADE[5:8], MADE[8:]
    )  # another text, over the first one's slots


def test_decodes_without_a_graph_if_capturing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(cuda_graph_decoder, "is_supported", lambda _: True)
    monkeypatch.setattr(cuda_graph_decoder, "capture_graph", refuse)
    model = tiny().eval().to(DEVICE)
    with pytest.warns(UserWarning, match=r"without it \(operation not permitted .* capturing\)"):
        assert_matches_model(CudaGraphDecoder(model), model, MADE[:3], MADE[3:])
