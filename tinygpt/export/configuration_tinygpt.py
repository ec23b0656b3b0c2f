"""The shape of a GPT that was trained with tinygpt-tui, for Hugging Face's transformers.

A copy of this file is in every exported model; it needs nothing but transformers.
"""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig


class TinyGPTConfig(PretrainedConfig):
    """Dense, or with more than 0 `num_experts` a mixture of experts.

    `max_position_embeddings` is the context: each token attends to this many, itself included.
    `intermediate_size` is the width within the feed-forward layer, or within one expert.
    """

    model_type = "tinygpt"

    def __init__(
        self,
        vocab_size: int = 65,
        hidden_size: int = 128,
        num_hidden_layers: int = 4,
        num_attention_heads: int = 4,
        intermediate_size: int = 512,
        max_position_embeddings: int = 64,
        conv_size: int = 4,
        rotary_base: float = 10000.0,
        dropout: float = 0.0,
        num_experts: int = 0,
        num_experts_per_tok: int = 1,
        tie_word_embeddings: bool = False,
        **kwargs: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.max_position_embeddings = max_position_embeddings
        self.conv_size = conv_size
        self.rotary_base = rotary_base
        self.dropout = dropout
        self.num_experts = num_experts
        self.num_experts_per_tok = num_experts_per_tok
        super().__init__(tie_word_embeddings=tie_word_embeddings, **kwargs)
