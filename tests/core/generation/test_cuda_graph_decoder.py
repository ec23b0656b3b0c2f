"""`CudaGraphDecoder` equals `GPT.run`: on a GPU with a graph, elsewhere without."""

import gc
import weakref

import pytest
import torch

from tests.helpers.decoders import MODELS, assert_matches_model
from tests.helpers.models import tiny
from tinygpt import cuda_graphs
from tinygpt.generation import cuda_graph_decoder
from tinygpt.generation.cuda_graph_decoder import CudaGraphDecoder, borrow_decoder
from tinygpt.model_config import MoEConfig

DEVICES = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
MADE = torch.randint(13, (29,), generator=torch.Generator().manual_seed(3)).tolist()


@DEVICES
@MODELS
@pytest.mark.parametrize(("prompt", "tied"), [(0, False), (1, True), (7, False), (11, True)])
def test_equals_the_whole_model_within_the_context_and_past_it(
    moe: MoEConfig | None, prompt: int, device: str, *, tied: bool
) -> None:
    model = tiny(moe=moe, tie_embeddings=tied).eval().to(device)
    decoder = CudaGraphDecoder(model)
    assert_matches_model(
        decoder, model, MADE[:prompt], MADE[prompt:]
    )  # the context is 11: the ring goes round
    assert_matches_model(
        decoder, model, MADE[5:8], MADE[8:22]
    )  # another text, over the first one's slots


@DEVICES
def test_decodes_without_a_graph_if_capturing_fails(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(cuda_graph_decoder, "is_supported", lambda _: True)
    monkeypatch.setattr(cuda_graphs, "warm_up", lambda run, _: run())
    monkeypatch.setattr(cuda_graphs, "capture", refuse)
    model = tiny().eval().to(device)
    with pytest.warns(UserWarning, match=r"without it \(operation not permitted .* capturing\)"):
        assert_matches_model(CudaGraphDecoder(model), model, MADE[:3], MADE[3:])


@DEVICES
def test_a_decoder_is_lent_to_one_text_at_a_time_and_again_after_it(device: str) -> None:
    model = tiny().eval().to(device)
    with borrow_decoder(model) as first, borrow_decoder(model) as second:
        assert first is not second
    with borrow_decoder(model) as third, borrow_decoder(model) as fourth:
        assert {third, fourth} == {first, second}


@DEVICES
def test_a_decoder_is_lent_again_only_while_the_weights_stay_in_place(device: str) -> None:
    model = tiny().eval().to(device)
    with borrow_decoder(model) as first:
        pass
    with torch.no_grad():
        model.embed.weight.mul_(2)  # as training does
    with borrow_decoder(model) as second:
        assert second is first
        assert_matches_model(second, model, MADE[:3], MADE[3:])
    model.embed.weight.data = model.embed.weight.data.clone()
    with borrow_decoder(model) as third:
        assert third is not first
        assert_matches_model(third, model, MADE[:3], MADE[3:])


@DEVICES
def test_an_idle_decoder_does_not_keep_its_model(device: str) -> None:
    model = tiny().eval().to(device)
    with borrow_decoder(model) as decoder:
        assert_matches_model(decoder, model, MADE[:3], MADE[3:])
    reference = weakref.ref(model)
    del model, decoder
    gc.collect()
    assert reference() is None
