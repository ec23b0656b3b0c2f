"""Filters against their definitions; streams against the model they come from."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.helpers.models import tiny
from tinygpt.analysis.inspection import inspect_tokens
from tinygpt.data.characters import CharTokenizer
from tinygpt.errors import ConfigError, TinyGPTError, TokenizerError
from tinygpt.fields import flag
from tinygpt.generation.decoding import MANY, TokenEvent, draw, generate, stream, stream_many
from tinygpt.generation.filters import filter_logits, filter_steps
from tinygpt.generation.params import SamplingParams
from tinygpt.model_config import MoEConfig

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
        no_repeat_ngram=st.integers(0, 3),
        temperature_last=st.booleans(),
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


def test_zero_new_tokens() -> None:
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
    with pytest.raises(TinyGPTError, match="of 13 and the tokenizer one of 3"):
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


@given(st.lists(st.integers(0, 4), max_size=30), st.integers(1, 5))
def test_no_ngram_comes_twice(ids: list[int], size: int) -> None:
    logits = torch.zeros(5)
    found = kept(filter_logits(logits, SamplingParams(no_repeat_ngram=size), ids))
    seen = {tuple(ids[i : i + size]) for i in range(len(ids) - size + 1)}
    start = tuple(ids[len(ids) - size + 1 :]) if size > 1 else ()
    wanted = {t for t in range(5) if len(start) < size - 1 or (*start, t) not in seen}
    assert found == (wanted or set(range(5)))  # where all would repeat, the filter is passed over


def test_an_ngram_of_the_text_never_repeats() -> None:
    params = SamplingParams(seed=1, no_repeat_ngram=3, max_new_tokens=200)
    text = "abc" + generate(tiny(), TOKENIZER, "abc", params)
    grams = [text[i : i + 3] for i in range(len(text) - 2)]
    assert len(grams) == len(set(grams))


def test_temperature_last_filters_the_model_s_own_distribution() -> None:
    logits = torch.tensor([3.0, 2.0, 1.0, 0.0])
    first = filter_logits(logits, SamplingParams(temperature=3.0, top_p=0.7))
    last = filter_logits(logits, SamplingParams(temperature=3.0, top_p=0.7, temperature_last=True))
    assert kept(first) == {0, 1, 2}
    assert kept(last) == {0, 1}
    assert last[0] == 1.0


def test_a_logit_of_plus_infinity_has_all_probability() -> None:
    logits = torch.tensor([1.0, math.inf, 2.0, math.inf])
    for params in (SamplingParams(), SamplingParams(temperature=0.5, top_p=0.9, min_p=0.1)):
        assert filter_logits(logits, params).softmax(-1).tolist() == [0.0, 0.5, 0.0, 0.5]


def test_steps_tell_which_filter_removed_what() -> None:
    params = SamplingParams(top_k=3, top_p=0.6, temperature=0.9, seed=1, max_new_tokens=1)
    (event,) = stream(tiny(), TOKENIZER, "abc", params)
    assert [step.name for step in event.steps] == ["temperature", "top-k", "top-p"]
    removed = event.removed
    assert set(removed) == set(range(13)) - kept(event.filtered.log())
    assert list(removed.values()).count("top-k") == 10
    assert event.rank == sorted(event.raw.tolist(), reverse=True).index(event.raw[event.id]) + 1
    assert event.surprisal == pytest.approx(-math.log(event.raw[event.id]))
    assert event.entropy == pytest.approx(-sum(p * math.log(p) for p in event.raw.tolist()))


def test_entropy_of_a_certainty_is_zero() -> None:
    sure = torch.tensor([0.0, 1.0])
    event = TokenEvent(1, "b", sure, sure)
    assert str((event.entropy, event.surprisal)) == "(0.0, 0.0)"


@pytest.mark.parametrize("moe", [None, MoEConfig()])
def test_many_continuations_equal_those_of_their_seeds(moe: MoEConfig | None) -> None:
    model, params = tiny(moe=moe), SamplingParams(seed=5, max_new_tokens=31, stop=("a",))
    texts = ["", "", ""]
    for events in stream_many(model, TOKENIZER, "bc", params, count=3):
        for index, event in enumerate(events):
            texts[index] += event.text if event else ""
    for index, text in enumerate(texts):
        alone = SamplingParams(seed=5 + index, max_new_tokens=31, stop=("a",))
        assert text == generate(model, TOKENIZER, "bc", alone)
    assert len(set(texts)) == 3


@pytest.mark.parametrize("moe", [None, MoEConfig()])
@pytest.mark.parametrize("count", [1, 5, 30])
def test_continuing_after_made_tokens_repeats_the_text(moe: MoEConfig | None, count: int) -> None:
    model = tiny(moe=moe, seed=3)
    params = SamplingParams(seed=5, max_new_tokens=47, top_k=7, no_repeat_ngram=6, stop=("kkk",))
    whole = list(stream(model, TOKENIZER, "abc", params))
    made = [event.id for event in whole[:count]]
    rest = list(stream(model, TOKENIZER, "abc", params, made))[: len(whole) - count]
    assert [event.id for event in rest] == [event.id for event in whole[count:]]
    assert [event.experts for event in rest] == [event.experts for event in whole[count:]]
    assert torch.allclose(rest[0].raw, whole[count].raw, atol=1e-5)


def test_a_large_vocabulary_is_sampled_by_its_probabilities() -> None:
    size, generator = MANY + 7, torch.Generator().manual_seed(5)
    shares = {0: 0.0, 11: 0.5, 13: 0.0, 17: 0.125, size - 1: 0.375}
    probabilities = torch.zeros(size)
    probabilities[list(shares)] = torch.tensor(list(shares.values()))
    drawn = [draw(probabilities, generator) for _ in range(4001)]
    assert set(drawn) == {token for token, share in shares.items() if share}
    for token, share in shares.items():
        assert drawn.count(token) / len(drawn) == pytest.approx(share, abs=0.03)


def test_continuing_a_text_of_a_large_vocabulary_repeats_it() -> None:
    tokenizer = CharTokenizer.train("".join(map(chr, range(0xF0000, 0xF0000 + MANY + 7))))
    model, params = tiny(vocab_size=MANY + 7), SamplingParams(max_new_tokens=17, seed=3)
    whole = [event.id for event in stream(model, tokenizer, chr(0xF0000), params)]
    rest = [event.id for event in stream(model, tokenizer, chr(0xF0000), params, whole[:5])]
    assert rest[:12] == whole[5:]


def test_sampling_leaves_the_number_of_threads() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        for event in stream(tiny(), TOKENIZER, "ab", SamplingParams(max_new_tokens=3)):
            assert torch.get_num_threads() == before + 1, event
    finally:
        torch.set_num_threads(before)


def test_continuing_after_a_swapped_token() -> None:
    model = tiny(seed=3)
    params = SamplingParams(seed=5, max_new_tokens=3)
    chosen = next(stream(model, TOKENIZER, "abc", params)).id
    other = (chosen + 1) % TOKENIZER.vocab_size
    after = next(stream(model, TOKENIZER, "abc", params, [other]))
    context = torch.tensor([[*TOKENIZER.encode("abc"), other]])
    assert torch.allclose(after.raw, model.eval()(context)[0, -1].softmax(-1), atol=1e-5)


def test_experts_are_those_of_the_token_before() -> None:
    model = tiny(moe=MoEConfig(), seed=3)
    events = list(stream(model, TOKENIZER, "abc", SamplingParams(seed=5, max_new_tokens=5)))
    ids = [*TOKENIZER.encode("abc"), *(event.id for event in events)]
    choice = inspect_tokens(model, ids).choice
    assert choice is not None
    for place, event in enumerate(events, start=2):
        assert event.experts == tuple(choice[:, place, 0].tolist())


def test_zero_continuations_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        stream_many(tiny(), TOKENIZER, "a", count=0)


def test_a_chain_without_filters_is_empty() -> None:
    assert filter_steps(torch.zeros(3), SamplingParams()) == []


extremes = st.sampled_from(
    [0, -0.0, 1e-45, 1e-39, 1e-5, 0.01, 0.5, 1.0, 1 + 1e-7, 7, 100, 1000, 1e39, 1e308, math.inf]
) | st.floats(allow_nan=True)
sizes = st.sampled_from([0, 1, 2, 13, 999_999, 10**6, 2**63, 10**30, -1])
MODEL = tiny()


@settings(max_examples=200)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "temperature": extremes,
            "top_k": sizes,
            "top_p": extremes,
            "min_p": extremes,
            "typical_p": extremes,
            "repetition_penalty": extremes,
            "no_repeat_ngram": sizes,
            "temperature_last": st.booleans(),
            "greedy": st.booleans(),
            "seed": st.integers(),
        },
    )
)
def test_extreme_settings_are_refused_by_flag_or_give_text(values: dict[str, Any]) -> None:
    params, refused = None, ""
    try:
        params = SamplingParams(**values, max_new_tokens=3)
    except ConfigError as error:
        refused = str(error)
    if params is None:
        assert refused.split()[0] in {flag(name) for name in values}
    else:
        assert len(generate(MODEL, TOKENIZER, "abc", params)) == 3


@settings(max_examples=200)
@given(
    st.lists(
        st.sampled_from([-math.inf, -3.4e38, -1e30, -1.0, -0.0, 0.5, 1e30, 3.4e38, math.inf]),
        min_size=2,
        max_size=9,
    ).filter(lambda logits: max(logits) > -math.inf),
    st.sampled_from([1e-5, 0.01, 1.0, 1000.0]),
    st.sampled_from([0.01, 1.0, 100.0]),
    st.booleans(),
)
def test_extreme_logits_leave_a_distribution(
    logits: list[float],
    temperature: float,
    penalty: float,
    last: bool,  # noqa: FBT001
) -> None:
    params = SamplingParams(
        temperature=temperature,
        repetition_penalty=penalty,
        temperature_last=last,
        top_k=5,
        typical_p=0.9,
        min_p=0.01,
    )
    filtered = filter_logits(torch.tensor(logits), params, [0, 1]).softmax(-1)
    assert float(filtered.sum()) == pytest.approx(1)
    impossible = [i for i, logit in enumerate(logits) if logit == -math.inf]
    assert not filtered[impossible].any()
