"""Logits filters, beside the logits processors of Hugging Face: equal, probability for
probability."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers.generation import logits_process as hf

from tinygpt.generation.filters import filter_logits
from tinygpt.generation.params import SamplingParams

logit_lists = st.lists(
    st.one_of(st.floats(-30, 30, width=32), st.sampled_from([0.0, 1.0, -math.inf])),
    min_size=1,
    max_size=23,
).filter(lambda values: max(values) > -math.inf)


def theirs(logits: Tensor, params: SamplingParams, ids: list[int]) -> Tensor:
    scores, context = logits[None], torch.tensor([ids], dtype=torch.int64)
    chain: list[hf.LogitsProcessor] = []
    if params.repetition_penalty != 1:
        chain.append(hf.RepetitionPenaltyLogitsProcessor(params.repetition_penalty))
    if params.no_repeat_ngram:
        chain.append(hf.NoRepeatNGramLogitsProcessor(params.no_repeat_ngram))
    if params.temperature != 1:
        chain.append(hf.TemperatureLogitsWarper(params.temperature))
    if params.top_k:
        chain.append(hf.TopKLogitsWarper(params.top_k))
    if params.top_p < 1:
        chain.append(hf.TopPLogitsWarper(params.top_p))
    if params.min_p:
        chain.append(hf.MinPLogitsWarper(params.min_p))
    if params.typical_p < 1:
        chain.append(hf.TypicalLogitsWarper(params.typical_p))
    for process in chain:
        scores = process(context, scores)
    return scores[0]


@given(
    logit_lists,
    st.lists(st.integers(0, 22), max_size=12),
    st.builds(
        SamplingParams,
        temperature=st.sampled_from([0.1, 0.8, 1.0, 3.0]),
        top_k=st.integers(0, 30),
        top_p=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
        min_p=st.sampled_from([0.0, 0.05, 0.5]),
        typical_p=st.sampled_from([0.2, 0.95, 1.0]),
        repetition_penalty=st.sampled_from([0.7, 1.0, 1.3]),
        no_repeat_ngram=st.integers(0, 3),
    ),
)
def test_chains_of_filters_equal_those_of_transformers(
    values: list[float], ids: list[int], params: SamplingParams
) -> None:
    logits = torch.tensor(values)
    ids = [i % len(values) for i in ids]
    wanted = theirs(logits.clone(), params, ids)
    if not (wanted > -math.inf).any():
        return  # they leave nothing to sample; ours passes the last filter over
    found = filter_logits(logits, params, ids)
    torch.testing.assert_close(found, wanted, atol=0, rtol=0)
