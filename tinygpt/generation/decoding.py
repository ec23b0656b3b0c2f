"""The decoding loop: one token at a time, with the distribution that each was sampled from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from tinygpt.data.tokenizer import StreamDecoder, Tokenizer
from tinygpt.errors import ConfigError, TinyGPTError
from tinygpt.generation import cuda_graph_decoder, numpy_decoder
from tinygpt.generation.cuda_graph_decoder import CudaGraphDecoder, borrow_decoder
from tinygpt.generation.filters import Step, filter_steps, filtered_logits
from tinygpt.generation.numpy_decoder import NumpyDecoder
from tinygpt.generation.params import SamplingParams
from tinygpt.model.gpt import GPT, evaluating, project
from tinygpt.model.kv_cache import Cache

__all__ = ["SamplingParams", "TokenEvent", "generate", "stream", "stream_many"]


MANY = 4096
"""Tokens beyond which one random number chooses among all: torch draws one for each."""


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One generated token, and the distribution that it was sampled from."""

    id: int
    text: str
    """The characters that it completes; none where the last one lacks bytes."""
    raw: Tensor
    """(V,) the model's probabilities, before any filter."""
    filtered: Tensor
    """(V,) the probabilities that it was sampled from, after all filters."""
    steps: tuple[Step, ...] = ()
    """The active filters in order, each with the logits after it."""
    experts: tuple[int, ...] = ()
    """Per layer, the (first) expert of the token before it; empty for Dense."""

    @property
    def rank(self) -> int:
        """Its rank among all tokens by raw probability; 1 is the most likely."""
        return int((self.raw > self.raw[self.id]).sum()) + 1

    @property
    def surprisal(self) -> float:
        """-log of its raw probability, in nats."""
        return 0.0 - float(self.raw[self.id].log())  # of a certain token 0, not -0

    @property
    def entropy(self) -> float:
        """Of the raw distribution, in nats."""
        return 0.0 - float(torch.special.xlogy(self.raw, self.raw).sum())

    @property
    def removed(self) -> dict[int, str]:
        """Each token that a filter removed, and the name of that filter."""
        names = self.removed_by(torch.arange(len(self.raw)))
        return {token: name for token, name in enumerate(names) if name}

    def removed_by(self, tokens: Tensor) -> list[str]:
        """The filter that removed each of `tokens` (N,); an empty string if it remains."""
        names = [""] * len(tokens)
        for step in self.steps:
            for place in (step.logits[tokens] == -torch.inf).nonzero().flatten().tolist():
                names[place] = names[place] or step.name
        return names


def generate(
    model: GPT, tokenizer: Tokenizer, prompt: str, params: SamplingParams | None = None
) -> str:
    """The continuation of `prompt`, without the prompt: the joined texts of `stream`."""
    return "".join(event.text for event in stream(model, tokenizer, prompt, params))


def stream(
    model: GPT,
    tokenizer: Tokenizer,
    prompt: str,
    params: SamplingParams | None = None,
    made: Sequence[int] = (),
) -> Iterator[TokenEvent]:
    """Continue `prompt`, one token at a time.

    With `made`, continue after these tokens as if they had just been sampled: with the same seed
    the text continues exactly as before, or as it would have if one of them was swapped by hand.

    The text ends with the token that ends a document, if the tokenizer has one, and then has no
    more characters. The model sees the last tokens of the prompt that fit in its context (an empty
    prompt becomes the end of another text; without such a token a newline, or the first token of
    the vocabulary), and then what `Cache` keeps. The text can
    continue past the context at the same speed.

    Raises:
        TokenizerError: the prompt has a character outside the vocabulary; raised before the first
            token.
    """
    return _single(stream_many(model, tokenizer, prompt, params, made, count=1))


def stream_many(
    model: GPT,
    tokenizer: Tokenizer,
    prompt: str,
    params: SamplingParams | None = None,
    made: Sequence[int] = (),
    *,
    count: int,
) -> Iterator[list[TokenEvent | None]]:
    """`count` continuations of one prompt at once: the next event of each, None once finished.

    Continuation i has the seed `params.seed` + i and equals `stream` with that seed, except where
    matmuls of another batch size round differently.

    Raises:
        ConfigError: `count` is less than 1.
        TokenizerError: the prompt has a character outside the vocabulary.
    """
    params = params or SamplingParams()
    if count < 1:
        raise ConfigError(f"cannot generate {count} continuations: ask for at least 1")
    if model.config.vocab_size != tokenizer.vocab_size:
        raise TinyGPTError(
            f"the model has a vocabulary of {model.config.vocab_size} and the tokenizer one of "
            f"{tokenizer.vocab_size}: take both from the same run"
        )
    ids = tokenizer.encode(prompt) or [_first_token(tokenizer)]
    texts = [_Continuation(tokenizer, ids, made, params, index) for index in range(count)]
    context = model.config.context
    # Tokens made earlier go through the cache again, after the prompt, so that past the context its
    # window has the same keys and values as when they were sampled.
    chunks = [ids[-context:], *(list(made[i : i + context]) for i in range(0, len(made), context))]
    return _decode(model, texts, chunks, params.max_new_tokens)


def _decode(
    model: GPT, texts: list[_Continuation], chunks: list[list[int]], limit: int
) -> Iterator[list[TokenEvent | None]]:
    """Feed the chunks to the model, then sample up to `limit` tokens of each text."""
    cache = Cache(model.config)
    device = model.device
    *before, new = (torch.tensor(chunk, device=device).repeat(len(texts), 1) for chunk in chunks)
    with _single_token_decoder(model) if len(texts) == 1 else nullcontext() as decoder:
        if limit:
            for chunk in before:
                _next_logits(model, chunk, cache, decoder)
        for _ in range(limit):
            logits, experts = _next_logits(model, new, cache, decoder)
            rows = zip(texts, logits, experts, strict=True)
            with _one_thread():
                events = [text.sample(row, of_row) for text, row, of_row in rows]
            yield events
            if all(text.finished for text in texts):
                return
            new = torch.tensor([[text.ids[-1]] for text in texts], device=device)


def draw(probabilities: Tensor, generator: torch.Generator) -> int:
    """A token, drawn with its share of `probabilities` (V,)."""
    if len(probabilities) <= MANY:
        return int(probabilities.multinomial(1, generator=generator))
    sums = probabilities.double().cumsum(0)
    # Of a number in (0, 1], so that no token without probability is met, not even the first.
    place = 1 - torch.rand((), dtype=torch.double, generator=generator)
    return int(torch.searchsorted(sums, place * sums[-1]))


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread computes in the with-block: to wake another takes longer than its part of the
    work on a vector, and a hundred such parts make a token."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _single(events: Iterator[list[TokenEvent | None]]) -> Iterator[TokenEvent]:
    for (event,) in events:
        assert event is not None
        yield event


class _Continuation:
    """One text: its random generator, its tokens so far, and whether it is at its end or met a stop
    sequence."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        ids: list[int],
        made: Sequence[int],
        params: SamplingParams,
        index: int,
    ) -> None:
        self.ids, self.finished = [*ids, *made], False
        self._decoder, self._params = StreamDecoder(tokenizer), params
        self._end = tokenizer.end_of_text
        self._tail = "".join(self._decoder.push(token) for token in made)
        self._longest_stop = max(map(len, params.stop), default=0)
        self._generator = torch.Generator()
        if params.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed((params.seed + index) % 2**63)
        if made and not params.deterministic:
            # One draw per token made earlier: the generator is then where sampling them left it.
            uniform = torch.ones(tokenizer.vocab_size)
            for _ in made:
                draw(uniform, self._generator)

    def sample(self, logits: Tensor, experts: tuple[int, ...]) -> TokenEvent | None:
        """The next token, from its logits (V,); None if the text is finished."""
        if self.finished:
            return None
        if not bool(logits.max() > -torch.inf):  # NaN is not, either
            raise TinyGPTError("the model's output is NaN or -inf: its weights are damaged")
        steps = filter_steps(logits, self._params, self.ids)
        filtered = filtered_logits(logits, steps).softmax(-1)
        if self._params.deterministic:
            token = int(filtered.argmax())
        else:
            token = draw(filtered, self._generator)
        text = self._decoder.push(token)
        self.ids.append(token)
        self._tail = (self._tail + text)[-self._longest_stop - len(text) :]
        stopped = any(stop in self._tail for stop in self._params.stop)
        self.finished = stopped or token == self._end
        return TokenEvent(token, text, logits.softmax(-1), filtered, tuple(steps), experts)


def _single_token_decoder(
    model: GPT,
) -> AbstractContextManager[NumpyDecoder | CudaGraphDecoder | None]:
    """The fastest decoder for a batch of one; None if that is the model itself."""
    if numpy_decoder.is_supported(model):
        return nullcontext(NumpyDecoder(model))
    return borrow_decoder(model) if cuda_graph_decoder.is_supported(model) else nullcontext()


def _next_logits(
    model: GPT, new: Tensor, cache: Cache, decoder: NumpyDecoder | CudaGraphDecoder | None
) -> tuple[Tensor, list[tuple[int, ...]]]:
    """New tokens (B, T) -> logits (B, V) fp32 on the CPU after the last, and its experts per layer.

    Evaluation mode is set for each call, not for the whole loop: a caller may pause between two
    tokens, and train the model.
    """
    with torch.inference_mode():
        if decoder and new.numel() == 1:
            with _one_thread() if isinstance(decoder, NumpyDecoder) else nullcontext():
                row, experts = decoder.step(int(new), cache)
            return row[None], [experts]
        with evaluating(model):
            trace = model.run(new, cache)
        logits = project(trace.hidden[:, -1], trace.head).float().cpu()
        if not trace.routing:
            return logits, [()] * len(new)
        layers = [r.choice.unflatten(0, new.shape)[:, -1, 0] for r in trace.routing]
        return logits, [tuple(row) for row in torch.stack(layers, 1).tolist()]


def _first_token(tokenizer: Tokenizer) -> int:
    """The token that stands for an empty prompt: the end of another text; else a newline if the
    vocabulary has one, else 0."""
    if tokenizer.end_of_text is not None:
        return tokenizer.end_of_text
    try:
        return tokenizer.encode("\n")[0]
    except TinyGPTError:
        return 0
