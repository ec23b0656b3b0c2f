"""From a model to text: a token at a time, with what each was chosen from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tinygpt.data.tokenizer import Tokenizer
from tinygpt.errors import ConfigError, TinyGPTError
from tinygpt.generation import cuda_graph_decoder, numpy_decoder
from tinygpt.generation.cuda_graph_decoder import CudaGraphDecoder
from tinygpt.generation.filters import Step, filter_steps, filtered_logits
from tinygpt.generation.numpy_decoder import NumpyDecoder
from tinygpt.generation.params import SamplingParams
from tinygpt.model.gpt import GPT, evaluating
from tinygpt.model.kv_cache import Cache

__all__ = ["SamplingParams", "TokenEvent", "generate", "stream", "stream_many"]


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One token that was made, and what it was chosen from."""

    id: int
    text: str
    raw: Tensor
    """(V,) probabilities as the model gives them, before any filter."""
    filtered: Tensor
    """(V,) probabilities that it was drawn from."""
    steps: tuple[Step, ...] = ()
    """The filters that were on, each with the logits that it left."""
    experts: tuple[int, ...] = ()
    """Layer by layer, the (first) expert that read the token before it; empty for Dense."""

    @property
    def rank(self) -> int:
        """Its place among all tokens by raw probability; 1 is the likeliest."""
        return int((self.raw > self.raw[self.id]).sum()) + 1

    @property
    def surprisal(self) -> float:
        """-log of its raw probability, in nats."""
        return -float(self.raw[self.id].log())

    @property
    def entropy(self) -> float:
        """Of the raw distribution, in nats: the surprisal to be expected."""
        return -float(torch.special.xlogy(self.raw, self.raw).sum())

    @property
    def removed(self) -> dict[int, str]:
        """Each token that was removed, and the name of the filter that did it."""
        found: dict[int, str] = {}
        for step in self.steps:
            for token in (step.logits == -torch.inf).nonzero().flatten().tolist():
                found.setdefault(token, step.name)
        return found


def generate(
    model: GPT, tokenizer: Tokenizer, prompt: str, params: SamplingParams | None = None
) -> str:
    """The continuation of `prompt`, without it: `stream`, joined."""
    return "".join(event.text for event in stream(model, tokenizer, prompt, params))


def stream(
    model: GPT,
    tokenizer: Tokenizer,
    prompt: str,
    params: SamplingParams | None = None,
    made: Sequence[int] = (),
) -> Iterator[TokenEvent]:
    """Continue `prompt`, a token at a time.

    With `made`, goes on behind these tokens as if it had chosen them itself: what follows is what
    followed, or, where one of them was not its own choice, what would have.

    The prompt's last tokens that fit the context are read (a newline, or the first token of the
    vocabulary, stands in for an empty one); after that, the model sees what `Cache` keeps. The text
    can go on past the context at the same speed.

    Raises:
        TokenizerError: the prompt has a character that the model does not know; before the first
            token.
    """
    return _only(stream_many(model, tokenizer, prompt, params, made, count=1))


def stream_many(
    model: GPT,
    tokenizer: Tokenizer,
    prompt: str,
    params: SamplingParams | None = None,
    made: Sequence[int] = (),
    *,
    count: int,
) -> Iterator[list[TokenEvent | None]]:
    """`count` continuations of one prompt at once: the next event of each, None once it is over.

    Continuation i has the seed `params.seed` + i, and is what `stream` gives with that seed, as far
    as products of another batch size round alike.

    Raises:
        ConfigError: `count` is less than 1.
        TokenizerError: the prompt has a character that the model does not know.
    """
    params = params or SamplingParams()
    if count < 1:
        raise ConfigError(f"{count} continuations cannot be made; ask for at least 1")
    if model.config.vocab_size != tokenizer.vocab_size:
        raise TinyGPTError(
            f"the model has {model.config.vocab_size} tokens and the tokenizer "
            f"{tokenizer.vocab_size}: take both from the same run"
        )
    ids = tokenizer.encode(prompt) or [_beginning(tokenizer)]
    writers = [_Writer(tokenizer, ids, made, params, index) for index in range(count)]
    context = model.config.context
    # What was made is read as it was: behind the prompt, past the context by the cache's rules.
    parts = [ids[-context:], *(list(made[i : i + context]) for i in range(0, len(made), context))]
    return _write_all(model, writers, parts, params.max_new_tokens)


def _write_all(
    model: GPT, writers: list[_Writer], parts: list[list[int]], limit: int
) -> Iterator[list[TokenEvent | None]]:
    """Read the parts, then let all writers choose, up to `limit` times."""
    cache = Cache(model.config)
    device = model.head.device
    alone = _reader_of_one(model) if len(writers) == 1 else None
    *before, new = (torch.tensor(part, device=device).repeat(len(writers), 1) for part in parts)
    if limit:
        for part in before:
            _read(model, part, cache, alone)
    for _ in range(limit):
        logits, experts = _read(model, new, cache, alone)
        rows = zip(writers, logits, experts, strict=True)
        events = [writer.write(row, readers) for writer, row, readers in rows]
        yield events
        if all(writer.over for writer in writers):
            return
        new = torch.tensor([[writer.ids[-1]] for writer in writers], device=device)


def _only(events: Iterator[list[TokenEvent | None]]) -> Iterator[TokenEvent]:
    for (event,) in events:
        assert event is not None
        yield event


class _Writer:
    """One continuation: its dice, its tokens so far, and whether it met a stop text."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        ids: list[int],
        made: Sequence[int],
        params: SamplingParams,
        index: int,
    ) -> None:
        self.ids, self.over = [*ids, *made], False
        self._tokenizer, self._params = tokenizer, params
        self._made = tokenizer.decode(made)
        self._longest = max(map(len, params.stop), default=0)
        self._generator = torch.Generator()
        if params.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed((params.seed + index) % 2**63)
        if made and not params.deterministic:
            even = torch.ones(tokenizer.vocab_size)
            for _ in made:
                even.multinomial(1, generator=self._generator)

    def write(self, logits: Tensor, experts: tuple[int, ...]) -> TokenEvent | None:
        """Choose the next token from its logits (V,)."""
        if self.over:
            return None
        if logits.isnan().any():
            raise TinyGPTError("the model's output is not a number: its weights are damaged")
        steps = filter_steps(logits, self._params, self.ids)
        filtered = filtered_logits(logits, steps).softmax(-1)
        if self._params.deterministic:
            token = int(filtered.argmax())
        else:
            token = int(filtered.multinomial(1, generator=self._generator))
        text = self._tokenizer.decode([token])
        self.ids.append(token)
        self._made = (self._made + text)[-self._longest - len(text) :]
        self.over = any(stop in self._made for stop in self._params.stop)
        return TokenEvent(token, text, logits.softmax(-1), filtered, tuple(steps), experts)


def _reader_of_one(model: GPT) -> NumpyDecoder | CudaGraphDecoder | None:
    """The fastest way to read one token of one continuation; None where that is the model's own."""
    if numpy_decoder.suits(model):
        return NumpyDecoder(model)
    return CudaGraphDecoder(model) if cuda_graph_decoder.suits(model) else None


def _read(
    model: GPT, new: Tensor, cache: Cache, alone: NumpyDecoder | CudaGraphDecoder | None
) -> tuple[Tensor, list[tuple[int, ...]]]:
    """The new tokens (B, T): logits (B, V) fp32 on the CPU behind the last, and who read that.

    The model's mode is set around each token, not around the generator, which may be left standing
    between two tokens while the model is trained on.
    """
    with torch.inference_mode():
        if alone and new.numel() == 1:
            row, readers = alone.read(int(new), cache)
            return row[None], [readers]
        with evaluating(model):
            trace = model.run(new, cache)
        logits = trace.logits[:, -1].float().cpu()
        if not trace.routing:
            return logits, [()] * len(new)
        layers = [r.choice.unflatten(0, new.shape)[:, -1, 0] for r in trace.routing]
        return logits, [tuple(row) for row in torch.stack(layers, 1).tolist()]


def _beginning(tokenizer: Tokenizer) -> int:
    """The token that an empty prompt starts from: a newline, where the vocabulary has one."""
    try:
        return tokenizer.encode("\n")[0]
    except TinyGPTError:
        return 0
