"""From logits to text: what may be sampled, and sampling it a token at a time.

The filters have the semantics and the order of Hugging Face's logits processors: repetition
penalty, temperature, top-k, top-p, min-p, typical-p.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tinygpt.errors import ConfigError, TinyGPTError
from tinygpt.model import GPT, Cache, evaluating
from tinygpt.tokenizer import Tokenizer

COLDEST = 1e-5
"""Temperature under which sampling is greedy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingParams:
    """How the next token is chosen. The defaults sample from the model's own distribution."""

    temperature: float = 1.0
    """Divides the logits; below 0.00001, where fp32 would overflow, it is greedy."""
    top_k: int = 0
    """Keep the k likeliest tokens, and those tied with the last of them; 0 keeps all."""
    top_p: float = 1.0
    """Keep the fewest likeliest tokens whose probabilities reach p (nucleus, arXiv:1904.09751)."""
    min_p: float = 0.0
    """Keep tokens of at least this share of the likeliest one's probability (arXiv:2407.01082)."""
    typical_p: float = 1.0
    """Keep the tokens of surprisal nearest the entropy that reach p (arXiv:2202.00666)."""
    repetition_penalty: float = 1.0
    """Divides positive logits of tokens seen, multiplies negative ones (CTRL, arXiv:1909.05858)."""
    greedy: bool = False
    """Take the likeliest token after the penalty, the first of equals; nothing else applies."""
    seed: int | None = None
    """Same seed, same text on the same device; None draws a new one."""
    max_new_tokens: int = 200
    """Tokens to make at most."""
    stop: tuple[str, ...] = ()
    """Texts that end the continuation; they stay part of it."""

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "stop", (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        )
        for name, holds, right in (
            ("temperature", 0 <= self.temperature < math.inf, "0 (greedy) or more"),
            ("top_k", self.top_k >= 0, "0 (all) or more"),
            ("top_p", 0 <= self.top_p <= 1, "between 0 and 1"),
            ("min_p", 0 <= self.min_p <= 1, "between 0 and 1"),
            ("typical_p", 0 < self.typical_p <= 1, "more than 0 and at most 1"),
            ("repetition_penalty", 0 < self.repetition_penalty < math.inf, "more than 0"),
            ("max_new_tokens", self.max_new_tokens >= 0, "0 or more"),
        ):
            if not holds:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be {right}")
        if "" in self.stop:
            raise ConfigError("stop has an empty text; it has to be at least one character")

    @property
    def deterministic(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self.greedy or self.temperature < COLDEST


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One token that was made, and what it was chosen from."""

    id: int
    text: str
    raw: Tensor
    """(V,) probabilities as the model gives them, before any filter."""
    filtered: Tensor
    """(V,) probabilities that it was drawn from."""


def filter_logits(
    logits: Tensor, params: SamplingParams, context_ids: Sequence[int] = ()
) -> Tensor:
    """The logits (V,) after penalty, temperature and filters: removed entries are -inf.

    Greedy, and a temperature of 0, keep the likeliest token alone, after the penalty. `context_ids`
    are the tokens so far, which the penalty looks at. At least one token always stays.
    """
    if params.repetition_penalty != 1.0 and len(context_ids):
        logits = penalize_repetition(logits, params.repetition_penalty, context_ids)
    if params.deterministic:
        return _greedy(logits)
    logits = logits / params.temperature
    if 0 < params.top_k < logits.numel():
        logits = keep_only(logits, logits >= logits.topk(params.top_k).values[-1])
    if params.top_p < 1:
        logits = keep_only(logits, in_nucleus(logits, params.top_p))
    if params.min_p > 0:
        probabilities = logits.softmax(-1)
        logits = keep_only(logits, probabilities >= params.min_p * probabilities.max())
    if params.typical_p < 1:
        logits = keep_only(logits, is_typical(logits, params.typical_p))
    return logits


def keep_only(logits: Tensor, keep: Tensor) -> Tensor:
    """-inf wherever `keep` is false."""
    return logits.masked_fill(~keep, -math.inf)


def penalize_repetition(logits: Tensor, penalty: float, context_ids: Sequence[int]) -> Tensor:
    """Make the tokens of `context_ids` less likely, each once however often it occurs."""
    seen = torch.tensor(sorted(set(context_ids)), device=logits.device)
    scores = logits[seen]
    return logits.index_copy(0, seen, torch.where(scores < 0, scores * penalty, scores / penalty))


def in_nucleus(logits: Tensor, top_p: float) -> Tensor:
    """(V,) bool: the likeliest tokens that together reach `top_p`; always the likeliest one."""
    ascending, order = logits.sort()
    keep = ascending.softmax(-1).cumsum(-1) > 1 - top_p
    keep[-1] = True
    return torch.empty_like(keep).scatter_(0, order, keep)


def is_typical(logits: Tensor, mass: float) -> Tensor:
    """(V,) bool: tokens whose surprisal is nearest the entropy, until they reach `mass`."""
    log_p = logits.log_softmax(-1)
    p = log_p.exp()
    entropy = -(p * log_p).nansum()
    distance, order = (-log_p - entropy).abs().sort()
    last = int((p[order].cumsum(-1) < mass).sum())
    return (-log_p - entropy).abs() <= distance[min(last, len(distance) - 1)]


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
    params = params or SamplingParams()
    ids = tokenizer.encode(prompt) or [_beginning(tokenizer)]
    if model.config.vocab_size != tokenizer.vocab_size:
        raise TinyGPTError(
            f"the model has {model.config.vocab_size} tokens and the tokenizer "
            f"{tokenizer.vocab_size}: take both from the same run"
        )
    return _stream(model, tokenizer, ids, params)


def generate(
    model: GPT, tokenizer: Tokenizer, prompt: str, params: SamplingParams | None = None
) -> str:
    """The continuation of `prompt`, without it: `stream`, joined."""
    return "".join(event.text for event in stream(model, tokenizer, prompt, params))


def _stream(
    model: GPT, tokenizer: Tokenizer, ids: list[int], params: SamplingParams
) -> Iterator[TokenEvent]:
    generator = torch.Generator()
    if params.seed is None:
        generator.seed()
    else:
        generator.manual_seed(params.seed)
    device = model.head.device
    cache = Cache(model.config)
    new = torch.tensor([ids[-model.config.context :]], device=device)
    made = ""
    longest = max(map(len, params.stop), default=0)
    for _ in range(params.max_new_tokens):
        logits = _next_logits(model, new, cache)
        filtered = filter_logits(logits, params, ids).softmax(-1)
        token = int(
            filtered.argmax()
            if params.deterministic
            else filtered.multinomial(1, generator=generator)
        )
        text = tokenizer.decode([token])
        ids.append(token)
        made += text
        yield TokenEvent(token, text, logits.softmax(-1), filtered)
        if any(stop in made[-longest - len(text) :] for stop in params.stop):
            return
        new = torch.tensor([[token]], device=device)


def _next_logits(model: GPT, new: Tensor, cache: Cache) -> Tensor:
    """(V,) fp32 on the CPU, after the new tokens (1, T).

    The model's mode is set around each token, not around the generator, which may be left standing
    between two tokens while the model is trained on.
    """
    with evaluating(model), torch.inference_mode():
        return model.run(new, cache).logits[0, -1].float().cpu()


def _greedy(logits: Tensor) -> Tensor:
    kept = torch.full_like(logits, -math.inf)
    best = int(logits.argmax())
    kept[best] = logits[best]
    return kept


def _beginning(tokenizer: Tokenizer) -> int:
    """The token that an empty prompt starts from: a newline, where the vocabulary has one."""
    try:
        return tokenizer.encode("\n")[0]
    except TinyGPTError:
        return 0
