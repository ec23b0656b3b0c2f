"""Filters against their definitions; streams against the model they come from."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.conftest import tiny
from tinygpt.config import MoEConfig
from tinygpt.decoding import SamplingParams, filter_logits, generate, stream
from tinygpt.errors import ConfigError, TinyGPTError, TokenizerError
from tinygpt.tokenizer import CharTokenizer

TOKENIZER = CharTokenizer.train("\n abcdefghijk")  # 13 characters
logit_lists = st.lists(
    st.one_of(st.floats(-30, 30, width=32), st.sampled_from([0.0, 1.0, -math.inf])),
    min_size=1,
    max_size=23,
).filter(lambda values: max(values) > -math.inf)


def kept(logits: Tensor) -> set[int]:
    return {i for i, value in enumerate(logits.tolist()) if value > -math.inf}


@given(logit_lists, st.integers(1, 30))
def test_top_k_keeps_the_likeliest_and_their_ties(values: list[float], k: int) -> None:
    logits = torch.tensor(values)
    found = filter_logits(logits, SamplingParams(top_k=k))
    edge = sorted(values, reverse=True)[min(k, len(values)) - 1]
    assert kept(found) == {i for i in kept(logits) if logits[i] >= edge}


@given(logit_lists, st.floats(0, 1))
def test_top_p_keeps_the_fewest_that_reach_p(values: list[float], p: float) -> None:
    logits = torch.tensor(values)
    found = kept(filter_logits(logits, SamplingParams(top_p=p)))
    probabilities = logits.softmax(-1)
    assert found
    inside = [float(probabilities[i]) for i in found]
    outside = [float(probabilities[i]) for i in kept(logits) - found]
    assert min(inside) >= max(outside, default=0.0)
    assert sum(inside) >= p - 1e-4
    assert sum(inside) - min(inside) <= p + 1e-4


@given(logit_lists, st.floats(0, 1))
def test_min_p_is_a_share_of_the_likeliest(values: list[float], p: float) -> None:
    logits = torch.tensor(values)
    probabilities = logits.softmax(-1)
    found = kept(filter_logits(logits, SamplingParams(min_p=p)))
    limit = p * probabilities.max()
    assert found == {i for i in kept(logits) if probabilities[i] >= limit}


@given(logit_lists, st.floats(0.01, 0.99))
def test_typical_p_keeps_what_is_nearest_the_entropy(values: list[float], p: float) -> None:
    logits = torch.tensor(values)
    probabilities = logits.double().softmax(-1)
    found = kept(filter_logits(logits, SamplingParams(typical_p=p)))
    entropy = -sum(float(q) * math.log(float(q)) for q in probabilities if q > 0)
    distance = {i: abs(-float(logits.double().log_softmax(-1)[i]) - entropy) for i in kept(logits)}
    assert found
    assert (
        max(distance[i] for i in found)
        <= min((d for i, d in distance.items() if i not in found), default=math.inf) + 1e-4
    )
    assert sum(float(probabilities[i]) for i in found) >= p - 1e-4


@given(logit_lists, st.floats(0.1, 5))
def test_temperature_divides(values: list[float], temperature: float) -> None:
    logits = torch.tensor(values)
    found = filter_logits(logits, SamplingParams(temperature=temperature))
    torch.testing.assert_close(found, logits / temperature)


@given(logit_lists)
def test_greedy_and_temperature_zero_keep_the_first_of_the_likeliest(values: list[float]) -> None:
    logits = torch.tensor(values)
    for params in (SamplingParams(greedy=True, top_k=3), SamplingParams(temperature=0)):
        assert kept(filter_logits(logits, params)) == {values.index(max(values))}


@given(
    logit_lists,
    st.builds(
        SamplingParams,
        temperature=st.floats(0, 10),
        top_k=st.integers(0, 30),
        top_p=st.floats(0, 1),
        min_p=st.floats(0, 1),
        typical_p=st.floats(0.001, 1),
        repetition_penalty=st.floats(0.5, 2),
    ),
)
def test_something_is_always_left(values: list[float], params: SamplingParams) -> None:
    logits = torch.tensor(values)
    before = logits.clone()
    found = filter_logits(logits, params, [0, 0, len(values) - 1])
    assert torch.equal(logits, before)
    assert kept(found)
    assert not found.isnan().any()
    assert found.softmax(-1).sum() == pytest.approx(1, abs=1e-5)


def test_repetition_penalty_counts_each_token_once() -> None:
    logits = torch.tensor([2.0, -2.0, 3.0])
    found = filter_logits(logits, SamplingParams(repetition_penalty=2.0), [0, 1, 0, 1, 1])
    assert found.tolist() == [1.0, -4.0, 3.0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1},
        {"temperature": math.nan},
        {"top_k": -1},
        {"top_p": 1.5},
        {"top_p": math.nan},
        {"min_p": -0.1},
        {"typical_p": 0},
        {"repetition_penalty": 0},
        {"max_new_tokens": -1},
        {"stop": ("",)},
    ],
)
def test_wrong_parameters_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SamplingParams(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("moe", [None, MoEConfig()])
def test_greedy_stream_equals_full_passes(moe: MoEConfig | None) -> None:
    model = tiny(moe=moe).eval()
    params = SamplingParams(greedy=True, max_new_tokens=6)
    text = "abc\n"
    for event in stream(model, TOKENIZER, text, params):
        logits = model(torch.tensor([TOKENIZER.encode(text)]))[0, -1]
        assert event.id == logits.argmax()
        assert event.text == TOKENIZER.decode([event.id])
        torch.testing.assert_close(event.raw, logits.softmax(-1).detach())
        text += event.text


def test_same_seed_same_text_and_another_one_another() -> None:
    model = tiny()

    def made(seed: int | None) -> str:
        return generate(model, TOKENIZER, "a", SamplingParams(seed=seed, max_new_tokens=50))

    assert made(3) == made(3)
    assert made(3) != made(5)
    assert made(None) != made(None)


def test_text_goes_on_past_the_context() -> None:
    text = generate(tiny(), TOKENIZER, "abc" * 20, SamplingParams(max_new_tokens=101, seed=1))
    assert len(text) == 101


def test_only_the_end_of_a_long_prompt_is_read() -> None:
    params = SamplingParams(seed=1, max_new_tokens=7)
    end = "abcdefghijk"
    assert generate(tiny(), TOKENIZER, "kkkkk" + end, params) == generate(
        tiny(), TOKENIZER, "aaa" + end, params
    )


def test_empty_prompt_starts_a_line() -> None:
    params = SamplingParams(seed=1, max_new_tokens=7)
    assert generate(tiny(), TOKENIZER, "", params) == generate(tiny(), TOKENIZER, "\n", params)


def test_no_token_is_asked_for() -> None:
    assert generate(tiny(), TOKENIZER, "a", SamplingParams(max_new_tokens=0)) == ""


def test_stop_ends_the_text_and_is_part_of_it() -> None:
    whole = generate(tiny(), TOKENIZER, "a", SamplingParams(seed=1, max_new_tokens=50))
    stop = whole[17:20]
    params = SamplingParams(seed=1, max_new_tokens=50, stop=(stop, "never"))
    cut = generate(tiny(), TOKENIZER, "a", params)
    assert cut == whole[: whole.index(stop) + 3]


def test_unknown_character_fails_before_the_first_token() -> None:
    with pytest.raises(TokenizerError, match="'é'"):
        stream(tiny(), TOKENIZER, "é")


def test_model_and_tokenizer_of_different_runs() -> None:
    with pytest.raises(TinyGPTError, match="13 tokens and the tokenizer 3"):
        generate(tiny(), CharTokenizer.train("abc"), "a")


def test_training_goes_on_between_two_tokens() -> None:
    model = tiny(dropout=0.5).train()
    events = stream(model, TOKENIZER, "a" * 11, SamplingParams(seed=1, max_new_tokens=40))
    for _ in range(23):  # past the context, where the table of rotations grows
        next(events)
    assert model.training
    model(torch.zeros(1, 11, dtype=torch.int64)).sum().backward()


@settings(max_examples=20)
@given(st.text(st.sampled_from("\n abcdefghijk"), max_size=30), st.integers(0, 2**31))
def test_distributions_of_a_stream(prompt: str, seed: int) -> None:
    params = SamplingParams(top_k=5, temperature=0.7, seed=seed, max_new_tokens=5)
    for event in stream(tiny(), TOKENIZER, prompt, params):
        assert event.raw.sum() == pytest.approx(1, abs=1e-5)
        assert event.filtered.sum() == pytest.approx(1, abs=1e-5)
        assert event.filtered[event.id] > 0
        assert len(kept(event.filtered.log())) == 5
