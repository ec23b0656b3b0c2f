"""Deterministic evaluation: one pass over a text in windows of the context length.

The text is the whole validation split, or where that is large a fixed sample of its windows. No
clock decides which, only sizes, so that a run can be repeated bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tinygpt.model.gpt import GPT, evaluating
from tinygpt.model.loss import next_token_loss
from tinygpt.model.moe import Routing
from tinygpt.model_config import ModelConfig
from tinygpt.training.listening import Listen, no_listener
from tinygpt.world import ALONE, World

TOKENS = 4096
"""Tokens per batch: few enough for a CPU's cache, enough to keep its cores busy."""
GPU_MEMORY_SHARE = 1 / 16
"""Of a GPU's memory that a batch may take there: its kernels take as long to launch for few tokens
as for many."""
WHOLE_TOKENS = 131_072
"""A validation split of at most so many tokens is always evaluated as a whole."""
SAMPLE_PERCENT = 15
"""Tokens of a sample per 100 tokens that are trained on between two evaluations. A forward pass
costs about a third of a training step, so that evaluating takes 5 % of the time of training."""


TRAINED_PER_TOKEN = 4
"""Tokens that must have been trained on for each token of a large split that is evaluated at the
end: with the last and the best model, that takes a sixth of the time of training at most."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Results of one pass."""

    loss: float
    """Mean negative log-likelihood of every token but the first, in nats per token."""
    routing: RoutingStatistics | None
    """Over the same tokens; None for Dense."""


def windows(tokens: Tensor, context: int) -> list[Tensor]:
    """A text (N,) cut into windows that overlap by one token, so that each token but the first is
    predicted once: all full ones (W, context + 1), then the remainder (1, R + 1) if there is one.
    """
    whole = (len(tokens) - 1) // context
    parts = [tokens.unfold(0, context + 1, context)] if whole else []
    rest = tokens[whole * context :]
    return [*parts, rest[None]] if len(rest) > 1 else parts


def spread(tokens: Tensor, context: int, count: int) -> list[Tensor]:
    """At most `count` full windows of a text (W, context + 1), evenly spaced."""
    whole = windows(tokens, context)[0]
    return [whole[:: max(1, len(whole) // count)][:count]]


def tokens_in(parts: list[Tensor], skip: int = 0) -> int:
    """How many tokens of windows (W, T + 1) are predicted, without the first `skip` of each."""
    return sum(part.shape[0] * (part.shape[1] - 1 - skip) for part in parts)


def sample_tokens(tokens: int, context: int, between: int) -> int | None:
    """How many tokens of a validation split of `tokens` are evaluated during training.

    None for all of them: where they are few, or few compared with the `between` tokens that are
    trained on between two evaluations.
    """
    limit = max(WHOLE_TOKENS, between * SAMPLE_PERCENT // 100)
    return None if tokens - 1 <= limit else max(1, limit // context) * context


def is_evaluated_whole(tokens: int, trained: int) -> bool:
    """Whether a validation split of `tokens` is evaluated as a whole at the end of a run that has
    `trained` on so many; else the sample of its evaluations has to do."""
    return tokens <= max(WHOLE_TOKENS, trained // TRAINED_PER_TOKEN)


def sample(tokens: Tensor, context: int, size: int) -> list[Tensor]:
    """Full windows of a text (W, context + 1), `size` tokens together, from all of its parts."""
    whole = windows(tokens, context)[0]
    count = size // context
    return [whole[torch.arange(count, device=tokens.device) * len(whole) // count]]


def perplexity(loss: float) -> float:
    """exp of a loss in nats; infinite where that would overflow."""
    return math.exp(loss) if loss < 700 else math.inf


def evaluate_text(model: GPT, tokens: Tensor, stride: int) -> float:
    """The mean loss of all tokens of a text (N,) but the first, in nats per token.

    Windows of the context length start `stride` tokens apart, and each predicts the tokens that
    none before it has predicted. With a stride of the context length, this is the evaluation during
    training: the first tokens of each window have little to predict them from. With a smaller one,
    all tokens after the first window have at least context - stride tokens before them.
    """
    context = model.config.context
    if stride == context or len(tokens) <= context + 1:
        return evaluate(model, windows(tokens, context)).loss
    later = tokens.unfold(0, context + 1, stride)[1:]
    rest = tokens[(len(later) + 1) * stride :]
    parts = [part for part in (later, rest[None]) if tokens_in([part], context - stride) > 0]
    first = tokens[None, : context + 1]
    total = evaluate(model, [first]).loss * context
    if parts:
        new = tokens_in(parts, context - stride)
        total += evaluate(model, parts, skip=context - stride).loss * new
    return total / (len(tokens) - 1)


@torch.no_grad()
def evaluate(
    model: GPT,
    parts: list[Tensor],
    listen: Listen = no_listener,
    *,
    skip: int = 0,
    world: World = ALONE,
) -> Evaluation:
    """The mean loss over windows (W, T + 1) of any lengths, without dropout.

    `listen` is called before each batch; what it raises gives up the evaluation. The first `skip`
    tokens of each window do not count; the others are predicted from them too. The processes of
    `world` share the windows, and all have the result.
    """
    total, count = in_double(model.head_weight.new_zeros(())), 0
    tally = RoutingTally(model.config)
    size = tokens_per_batch(model.config, _gpu_memory(model.device))
    with evaluating(model):
        for whole in parts:
            part = whole[world.share(len(whole))]
            for some in part.split(max(1, size // part.shape[1])) if len(part) else []:
                listen()
                batch = some.to(model.device).long()
                trace = model.run(batch[:, :-1])
                targets = batch[:, 1 + skip :]
                hidden = trace.hidden[:, skip:]
                total += in_double(next_token_loss(hidden, trace.head, targets, "sum"))
                count += targets.numel()
                if trace.routing:
                    tally.add(trace.routing)
    if world.size > 1:
        total = torch.stack((total.cpu(), torch.tensor(count).double()))
        world.sum([total, *tally.sums])
        total, count = total[0], int(total[1])
    return Evaluation(total.item() / count, tally.statistics() if tally else None)


def tokens_per_batch(config: ModelConfig, gpu_memory: int | None) -> int:
    """Tokens of one forward pass in an evaluation, on a GPU by its bytes of memory: by sizes only,
    as the rounding depends on it."""
    if gpu_memory is None:
        return TOKENS
    # What lives at once, in fp32 at most: in attention, in the feed-forward layer, as logits.
    per_token = 4 * (16 * config.width + 2 * config.active_hidden + 4 * config.vocab_size)
    return max(TOKENS, int(gpu_memory * GPU_MEMORY_SHARE) // per_token)


def _gpu_memory(device: torch.device) -> int | None:
    on_gpu = device.type == "cuda"
    return torch.cuda.get_device_properties(device).total_memory if on_gpu else None


def in_double(x: Tensor) -> Tensor:
    """`x` in fp64: on its device, so that nothing waits for it, or where there is no fp64 (MPS), on
    the CPU."""
    return (x.cpu() if x.device.type == "mps" else x).double()


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingStatistics:
    """How the tokens of a text are distributed over the experts, per layer."""

    load: list[list[float]]
    """(layers, experts): share of the selections; each layer sums to 1."""
    entropy: list[float]
    """Of the load, in nats: log E when uniform, 0 when one expert gets every token."""
    worst_over_mean: list[float]
    """Maximum over mean load: 1 when uniform, E when one expert gets every token."""
    mean_top1: list[float]
    """Mean router probability of the top-1 expert."""
    dead: list[int]
    """Number of experts that get no token."""


class RoutingTally:
    """Sums the routing of many batches; false for a model without experts."""

    def __init__(self, config: ModelConfig) -> None:
        layers, experts = config.layers, config.moe.experts if config.moe else 0
        self._loads = torch.zeros(layers, experts, dtype=torch.double)
        self._top1 = torch.zeros(layers, dtype=torch.double)
        self._tokens = torch.zeros((), dtype=torch.double)

    def __bool__(self) -> bool:
        return self._loads.numel() > 0

    @property
    def sums(self) -> list[Tensor]:
        """What is summed, on the CPU, for processes to add up theirs in place."""
        self._loads, self._top1 = self._loads.cpu(), self._top1.cpu()
        return [self._loads, self._top1, self._tokens] if self else []

    def add(self, layers: list[Routing]) -> None:
        """Add the routing of one batch, one `Routing` per layer."""
        loads = torch.stack([in_double(routing.load()) for routing in layers])
        top1 = torch.stack([in_double(routing.weight.amax(-1)).sum() for routing in layers])
        self._loads, self._top1 = self._loads.to(loads) + loads, self._top1.to(top1) + top1
        self._tokens += len(layers[0].choice)

    def statistics(self) -> RoutingStatistics:
        """Statistics of all batches so far."""
        loads = self._loads.cpu()
        shares = [(load / load.sum()).tolist() for load in loads]
        return RoutingStatistics(
            load=shares,
            entropy=[0.0 - sum(p * math.log(p) for p in share if p > 0) for share in shares],
            worst_over_mean=[max(share) * len(share) for share in shares],
            mean_top1=(self._top1.cpu() / self._tokens).tolist(),
            dead=[share.count(0.0) for share in shares],
        )
