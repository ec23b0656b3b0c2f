"""A GPT that was trained with tinygpt-tui, for Hugging Face's transformers: Dense or MoE.

A copy of this file is in every exported model; it needs nothing but torch and transformers. A
decoder Transformer with rotary positions, normalised queries and keys, no biases, and a short
convolution of the embeddings. The MoE layer multiplies the output of each selected expert by the
router's probability, which is not renormalised.

Letters: B batch, T new tokens, S all tokens so far, D width, H heads, K head width, E experts.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.cache_utils import DynamicCache
from transformers.modeling_outputs import MoeCausalLMOutputWithPast

from .configuration_tinygpt import TinyGPTConfig


class ShortConv(nn.Module):
    """Adds to each embedding those of the tokens just before it, each channel with a learned
    tap."""

    def __init__(self, config: TinyGPTConfig) -> None:
        super().__init__()
        self.reach = config.conv_size - 1
        if self.reach:
            self.taps = nn.Parameter(torch.empty(self.reach, config.hidden_size))

    def forward(self, x: Tensor, new: int) -> Tensor:
        """Embeddings (B, up to reach + T, D) -> (B, T, D), of the `new` = T last tokens."""
        if not self.reach:
            return x
        x = F.pad(x, (0, 0, self.reach + new - x.shape[1], 0))
        mixed = x[:, self.reach :]
        for offset, tap in enumerate(self.taps, 1):
            mixed = mixed + tap * x[:, self.reach - offset :][:, :new]
        return mixed


class Attention(nn.Module):
    """Causal self-attention over the last tokens that fit in the context."""

    def __init__(self, config: TinyGPTConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.heads = layer, config.num_attention_heads
        width = config.hidden_size
        self.query_key = nn.Linear(width, 2 * width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(
        self, x: Tensor, rotary: Tensor, mask: Tensor, cache: Any, *, explicit: bool
    ) -> tuple[Tensor, Tensor | None]:
        """(B, T, D), `mask` (B or 1, 1, T, S) -> (B, T, D), and if `explicit` the attention
        weights (B, H, T, S)."""
        value = self.value(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        qk = self.query_key(x).float().unflatten(-1, (2, self.heads, -1))
        qk = _rotate(F.layer_norm(qk, qk.shape[-1:]), rotary)
        query, key = qk.to(value.dtype).transpose(1, 3).unbind(2)  # (B, H, T, K) each
        if cache is not None:
            key, value = cache.update(key, value, self.layer)
        if explicit:
            scores = query.float() @ key.float().transpose(-2, -1) / math.sqrt(query.shape[-1])
            weights = scores.masked_fill(~mask, -math.inf).softmax(-1)
            y = weights.to(value.dtype) @ value
        else:
            weights = None
            y = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.out(y.transpose(1, 2).flatten(-2)), weights


class FeedForward(nn.Module):
    """The dense feed-forward layer."""

    def __init__(self, config: TinyGPTConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """(B, T, D) -> (B, T, D), and no router."""
        return self.down(F.gelu(self.up(x))), None


class Router(nn.Module):
    """Scores every expert for every token, in fp32; `bias` only affects which are selected."""

    bias: Tensor

    def __init__(self, config: TinyGPTConfig) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.empty(config.num_experts, config.hidden_size))
        self.register_buffer("bias", torch.zeros(config.num_experts))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, D) -> logits (N, E), and what selects the experts (N, E)."""
        with torch.autocast(x.device.type, enabled=False):
            logits = F.linear(x.float(), self.gate.float())
        return logits, logits.softmax(-1) + self.bias.float()


class Experts(nn.Module):
    """A feed-forward layer of experts: the sum over the top k of probability x expert(x)."""

    def __init__(self, config: TinyGPTConfig) -> None:
        super().__init__()
        experts, hidden, width = config.num_experts, config.intermediate_size, config.hidden_size
        self.top_k = config.num_experts_per_tok
        self.router = Router(config)
        self.up = nn.Parameter(torch.empty(experts, hidden, width))
        self.down = nn.Parameter(torch.empty(experts, width, hidden))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D) -> (B, T, D), and the logits of the router (B x T, E)."""
        tokens = x.flatten(0, 1)
        logits, scores = self.router(tokens)
        choice = scores.topk(self.top_k, -1).indices
        weight = logits.softmax(-1).gather(-1, choice)
        result = torch.zeros_like(tokens, dtype=torch.float32)
        for expert, (up, down) in enumerate(zip(self.up, self.down, strict=True)):
            token, place = (choice == expert).nonzero(as_tuple=True)
            y = F.linear(F.gelu(F.linear(tokens[token], up)), down)
            result.index_add_(0, token, y.float() * weight[token, place, None])
        return result.to(x.dtype).view_as(x), logits


class Block(nn.Module):
    """Pre-norm attention, then pre-norm feed-forward or experts, each added to its input."""

    def __init__(self, config: TinyGPTConfig, layer: int) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(config.hidden_size, bias=False)
        self.attention = Attention(config, layer)
        self.norm_feed = nn.LayerNorm(config.hidden_size, bias=False)
        self.feed = Experts(config) if config.num_experts else FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, rotary: Tensor, mask: Tensor, cache: Any, *, explicit: bool
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """(B, T, D) -> (B, T, D), the attention weights if `explicit`, logits of the router."""
        y, weights = self.attention(self.norm_attention(x), rotary, mask, cache, explicit=explicit)
        x = x + self.dropout(y)
        y, router = self.feed(self.norm_feed(x))
        return x + self.dropout(y), weights, router


class TinyGPTForCausalLM(PreTrainedModel, GenerationMixin):
    """The model with its output head."""

    config_class = TinyGPTConfig
    _no_split_modules: ClassVar = ["Block"]
    _supports_sdpa = True
    _tied_weights_keys: ClassVar = {"head.weight": "embed.weight"}

    def __init__(self, config: TinyGPTConfig) -> None:
        super().__init__(config)
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.conv = ShortConv(config)
        self.blocks = nn.ModuleList(Block(config, i) for i in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size, bias=False)
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        previous_ids: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        output_router_logits: bool | None = None,
        return_dict: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> Any:
        """input_ids (B, T) -> logits (B, T, V), for each token those of the next one.

        Args:
            input_ids: the tokens, or after those in the cache the new ones.
            attention_mask: (B, S), 0 for padding, which is on the left where text is generated.
            past_key_values: a cache, to which the new tokens are added.
            previous_ids: the last tokens in the cache, at least `conv_size` - 1 of them if there
                are so many; `generate` passes them.
            labels: (B, T), like `input_ids`; -100 is ignored.
            use_cache: whether to return a cache; by default unless training.
            output_attentions: whether to return the attention weights (B, H, T, S) of each layer.
            output_hidden_states: whether to return the input of each layer, and the last output.
            output_router_logits: whether to return those (B x T, E) of each layer of an MoE.
            return_dict: False for a tuple.
            logits_to_keep: only the logits of so many last tokens, or of these; 0: all.
            kwargs: passed to the loss.
        """
        if past_key_values is None and (not self.training if use_cache is None else use_cache):
            past_key_values = DynamicCache()
        past = past_key_values.get_seq_length() if past_key_values is not None else 0
        new = input_ids.shape[1]
        x = self.dropout(self._embedded(input_ids, attention_mask, past, previous_ids))
        rotary = self._rotary(past, new).to(x.device)
        mask = self._mask(past, new, attention_mask, x.device)
        hidden, attentions, routers = [x], [], []
        for block in self.blocks:
            x, weights, router = block(
                x, rotary, mask, past_key_values, explicit=bool(output_attentions)
            )
            hidden.append(x)
            attentions.append(weights)
            routers.append(router)
        x = hidden[-1] = self.norm(x)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.head(x[:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, vocab_size=self.config.vocab_size, **kwargs)
        output = MoeCausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=past_key_values,
            hidden_states=tuple(hidden) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
            router_logits=tuple(routers)
            if output_router_logits and self.config.num_experts
            else None,
        )
        return output.to_tuple() if return_dict is False else output

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        past_key_values: Any = None,
        attention_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Of all `input_ids` (B, S) so far, the new ones, and those before for the convolution."""
        past = past_key_values.get_seq_length() if past_key_values is not None else 0
        return {
            "input_ids": input_ids[:, past:],
            "previous_ids": input_ids[:, max(0, past - self.conv.reach) : past],
            "past_key_values": past_key_values,
            "attention_mask": attention_mask,
            "use_cache": kwargs.get("use_cache"),
            "logits_to_keep": kwargs.get("logits_to_keep", 0),
            "output_attentions": kwargs.get("output_attentions"),
            "output_hidden_states": kwargs.get("output_hidden_states"),
        }

    def get_input_embeddings(self) -> nn.Module:
        """The embedding of the tokens."""
        return self.embed

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the embedding of the tokens."""
        self.embed = value

    def get_output_embeddings(self) -> nn.Module:
        """The output head."""
        return self.head

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        """Replace the output head."""
        self.head = new_embeddings

    def _embedded(
        self, ids: Tensor, attention_mask: Tensor | None, past: int, previous_ids: Tensor | None
    ) -> Tensor:
        """(B, T, D) the embeddings after the convolution, to which padding adds nothing."""
        before = min(past, self.conv.reach)
        new, window = ids.shape[1], ids
        if before:
            if previous_ids is None or previous_ids.shape[1] < before:
                raise ValueError(
                    f"with a cache, pass the {before} tokens before input_ids as previous_ids: "
                    "the convolution of the embeddings reads them"
                )
            window = torch.cat((previous_ids[:, previous_ids.shape[1] - before :], ids), 1)
        x: Tensor = self.embed(window)
        if attention_mask is not None:
            x = x * attention_mask[:, -window.shape[1] :, None].to(x.dtype)
        mixed: Tensor = self.conv(x, new)
        return mixed

    def _mask(
        self, past: int, new: int, attention_mask: Tensor | None, device: torch.device
    ) -> Tensor:
        """(B or 1, 1, T, S) bool: True where a token may attend: to itself and those before it
        within the context, without padding."""
        keys = torch.arange(past + new, device=device)
        back = keys[past:, None] - keys
        mask: Tensor = ((back >= 0) & (back < self.config.max_position_embeddings))[None, None]
        if attention_mask is not None:
            # Padding attends to itself: a row without any key would be NaN.
            mask = mask & (attention_mask[:, None, None, :].bool() | (back == 0))
        return mask

    def _rotary(self, past: int, new: int) -> Tensor:
        """(T, K / 2, 2): cosine and sine, computed in fp64, of the positions from `past` on."""
        width = self.config.hidden_size // self.config.num_attention_heads
        pairs = torch.arange(width // 2, dtype=torch.float64, device="cpu")
        positions = torch.arange(past, past + new, dtype=torch.float64, device="cpu")
        angle = torch.outer(positions, self.config.rotary_base ** (-2 * pairs / width))
        return torch.stack((angle.cos(), angle.sin()), -1).float()

    def _init_weights(self, module: nn.Module) -> None:
        """For a model that is not loaded; transformers calls it for each part."""
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
        elif isinstance(module, Router):
            nn.init.normal_(module.gate, std=0.02)
            nn.init.zeros_(module.bias)
        elif isinstance(module, Experts):
            nn.init.normal_(module.up, std=0.02)
            nn.init.normal_(module.down, std=0.02)
        elif isinstance(module, ShortConv) and module.reach:
            nn.init.normal_(module.taps, std=1.0)


def _rotate(x: Tensor, rotary: Tensor) -> Tensor:
    """Rotate each pair of neighbouring channels of x (B, T, 2, H, K) by `rotary` (T, K / 2, 2)."""
    cos, sin = rotary[:, None, None].unbind(-1)
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)
