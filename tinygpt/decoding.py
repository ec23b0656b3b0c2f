"""From a model to text: a token at a time, with what each was chosen from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tinygpt.errors import ConfigError, TinyGPTError
from tinygpt.model import GPT, Cache, evaluating
from tinygpt.sampling import SamplingParams, Step, filter_steps, what_is_left
from tinygpt.tokenizer import Tokenizer

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
    model: GPT, tokenizer: Tokenizer, prompt: str, params: SamplingParams | None = None
) -> Iterator[TokenEvent]:
    """Continue `prompt`, a token at a time.

    The prompt's last tokens that fit the context are read (a newline, or the first token of the
    vocabulary, stands in for an empty one); after that, the model sees what `Cache` keeps. The text
    can go on past the context at the same speed.

    Raises:
        TokenizerError: the prompt has a character that the model does not know; before the first
            token.
    """
    return _only(stream_many(model, tokenizer, prompt, params, count=1))


def stream_many(
    model: GPT,
    tokenizer: Tokenizer,
    prompt: str,
    params: SamplingParams | None = None,
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
    return _stream_many(model, tokenizer, ids, params, count)


def _stream_many(
    model: GPT, tokenizer: Tokenizer, ids: list[int], params: SamplingParams, count: int
) -> Iterator[list[TokenEvent | None]]:
    writers = [_Writer(tokenizer, list(ids), params, index) for index in range(count)]
    cache = Cache(model.config)
    new = torch.tensor(ids[-model.config.context :], device=model.head.device).repeat(count, 1)
    for _ in range(params.max_new_tokens):
        logits = _next_logits(model, new, cache)
        events = [w.write(row) for w, row in zip(writers, logits, strict=True)]
        yield events
        if all(writer.over for writer in writers):
            return
        new = torch.tensor([[writer.ids[-1]] for writer in writers], device=new.device)


def _only(events: Iterator[list[TokenEvent | None]]) -> Iterator[TokenEvent]:
    for (event,) in events:
        assert event is not None
        yield event


class _Writer:
    """One continuation: its dice, its tokens so far, and whether it met a stop text."""

    def __init__(
        self, tokenizer: Tokenizer, ids: list[int], params: SamplingParams, index: int
    ) -> None:
        self.ids, self.over = ids, False
        self._tokenizer, self._params = tokenizer, params
        self._made = ""
        self._longest = max(map(len, params.stop), default=0)
        self._dice = torch.Generator()
        if params.seed is None:
            self._dice.seed()
        else:
            self._dice.manual_seed((params.seed + index) % 2**63)

    def write(self, logits: Tensor) -> TokenEvent | None:
        """Choose the next token from its logits (V,)."""
        if self.over:
            return None
        steps = filter_steps(logits, self._params, self.ids)
        filtered = what_is_left(logits, steps).softmax(-1)
        if self._params.deterministic:
            token = int(filtered.argmax())
        else:
            token = int(filtered.multinomial(1, generator=self._dice))
        text = self._tokenizer.decode([token])
        self.ids.append(token)
        self._made = (self._made + text)[-self._longest - len(text) :]
        self.over = any(stop in self._made for stop in self._params.stop)
        return TokenEvent(token, text, logits.softmax(-1), filtered, tuple(steps))


def _next_logits(model: GPT, new: Tensor, cache: Cache) -> Tensor:
    """(B, V) fp32 on the CPU, after the new tokens (B, T).

    The model's mode is set around each token, not around the generator, which may be left standing
    between two tokens while the model is trained on.
    """
    with evaluating(model), torch.inference_mode():
        return model.run(new, cache).logits[:, -1].float().cpu()


def _beginning(tokenizer: Tokenizer) -> int:
    """The token that an empty prompt starts from: a newline, where the vocabulary has one."""
    try:
        return tokenizer.encode("\n")[0]
    except TinyGPTError:
        return 0
