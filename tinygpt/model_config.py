"""The shape of a model, Dense or MoE, as part of a configuration.

A `Checked` dataclass checks the type and range of its fields: see `tinygpt.config`.
"""

# No postponed annotations here: `tinygpt.fields` reads the types of the fields.
import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from tinygpt.fields import Setting, SettingError, convert, setting

TIED_FROM = 8192
"""Tokens of the smallest vocabulary with tied embeddings by default. There the embedding is larger
than all blocks of `nano`, and learns more slowly on its own: most of its rows have a gradient in
few steps, those of the head in each. With 2,048 tokens it is better untied (docs/log.md)."""

MOST_LOGITS = 1 << 25
"""Logits of a loss that are held at once: 134 MB in fp32."""


class Checked:
    """Checks the type and range of every field when the dataclass is created."""

    GROUP: ClassVar[str] = ""
    """What precedes the name of a field in the dotted name of the setting."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            if "help" in field.metadata:
                value = convert(field, getattr(self, field.name), self.GROUP + field.name)
                object.__setattr__(self, field.name, value)


@dataclass(frozen=True, kw_only=True)
class MoEConfig(Checked):
    """Mixture-of-experts feed-forward blocks (Switch Transformer, arXiv:2101.03961)."""

    GROUP: ClassVar[str] = "moe."
    experts: int = setting(4, "experts per layer", low=1, high=1024)
    top_k: int = setting(1, "experts that each token is routed to", low=1)
    aux_loss: float = setting(0.01, "weight of Switch's load-balancing loss (0: off)", low=0.0)
    balance_over: Literal["step", "micro-batch"] = setting(
        "step",
        "the tokens that the balancing loss is of: of a whole optimizer step, so that "
        "--train.accumulate changes nothing, or of each micro-batch, which saves a forward pass",
    )
    z_loss: float = setting(0.0, "weight of ST-MoE's router z-loss (0: off)", low=0.0)
    bias_rate: float = setting(
        0.0, "step size of the bias in DeepSeek's loss-free balancing (0: off)", low=0.0
    )
    router: Literal["learned", "frozen"] = setting(
        "learned", "learned, or frozen: routers keep their random initial weights"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.top_k > self.experts:
            raise SettingError(
                Setting("moe.top_k"),
                f" is {self.top_k}, but there are only {self.experts} experts: "
                f"choose 1 to {self.experts}, or raise ",
                Setting("moe.experts"),
            )


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Checked):
    """The shape of a decoder Transformer. With ``moe``, each feed-forward block is experts."""

    GROUP: ClassVar[str] = "gpt."
    vocab_size: int = 65
    layers: int = setting(4, "Transformer blocks", low=1, high=1000)
    heads: int = setting(4, "attention heads per block", low=1)
    width: int = setting(128, "channels of the residual stream", low=2)
    context: int = setting(64, "context length in tokens", low=2, high=65_536)
    hidden: int = setting(
        0, "channels inside a feed-forward block, active per token (0: 4 x width)", low=0
    )
    conv_size: int = setting(
        4, "tokens spanned by the short convolution after the embedding (1: off)", low=1, high=64
    )
    tie_embeddings: bool | None = setting(
        None,
        f"the output head shares the embedding's weights (default: from {TIED_FROM:,} tokens on)",
    )
    dropout: float = setting(0.0, "dropout probability", low=0.0, below=1.0)
    rope_base: float = setting(10000.0, "base of the rotary frequencies", above=1.0)
    moe: MoEConfig | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.vocab_size) is not int or self.vocab_size < 1:
            raise SettingError(
                Setting("gpt.vocab_size"), f" is {self.vocab_size!r}: it must be at least 1"
            )
        if self.width % self.heads:
            raise SettingError(
                Setting("gpt.width"),
                f" {self.width} is not a multiple of ",
                Setting("gpt.heads"),
                f" {self.heads}: try ",
                Setting("gpt.width"),
                f" {math.ceil(self.width / self.heads) * self.heads}",
            )
        if self.head_width % 2:
            raise SettingError(
                Setting("gpt.width"),
                " / ",
                Setting("gpt.heads"),
                f" is {self.head_width}, but rotary embeddings need an even number: try ",
                Setting("gpt.width"),
                f" {self.heads * (self.head_width + 1)}",
            )
        if self.moe and self.active_hidden % self.moe.top_k:
            raise SettingError(
                Setting("gpt.hidden"),
                f" {self.active_hidden} cannot be divided evenly among ",
                Setting("moe.top_k"),
                f" {self.moe.top_k} experts: try ",
                Setting("gpt.hidden"),
                f" {self._divisible_hidden()}",
            )

    def _divisible_hidden(self) -> int:
        """The nearest width of a feed-forward block that ``top_k`` experts can share, if possible
        with a multiple of 8 channels each, which matmuls on a GPU need."""
        assert self.moe is not None
        unit = self.moe.top_k * (8 if self.active_hidden >= 8 * self.moe.top_k else 1)
        return max(round(self.active_hidden / unit), 1) * unit

    @property
    def tied(self) -> bool:
        """Whether the output head has the weights of the embedding."""
        return self.vocab_size >= TIED_FROM if self.tie_embeddings is None else self.tie_embeddings

    @property
    def head_width(self) -> int:
        """Channels of one head."""
        return self.width // self.heads

    @property
    def active_hidden(self) -> int:
        """Feed-forward channels active per token, the same for Dense and MoE."""
        return self.hidden or 4 * self.width

    @property
    def expert_hidden(self) -> int:
        """Channels inside one expert; ``top_k`` experts together have `active_hidden`."""
        return self.active_hidden // (self.moe.top_k if self.moe else 1)

    @property
    def looked_up(self) -> int:
        """Parameters of the embedding that are in no matmul: none of tied embeddings."""
        return 0 if self.tied else self.vocab_size * self.width

    def parameters(self) -> tuple[int, int]:
        """Parameter counts (total, active per token), without building the model."""
        d, v = self.width, self.vocab_size
        expert = 2 * d * self.expert_hidden
        attention = 4 * d * d
        norms = 2 * d
        count, active = (self.moe.experts, self.moe.top_k) if self.moe else (1, 1)
        gate = count * d if self.moe else 0
        tokens = v * d + self.looked_up
        fixed = tokens + (self.conv_size - 1) * d + d + self.layers * (attention + norms + gate)
        return fixed + self.layers * count * expert, fixed + self.layers * active * expert

    def stored_numbers(self) -> int:
        """Numbers in a checkpoint: the parameters and the selection biases of the routers."""
        return self.parameters()[0] + (self.layers * self.moe.experts if self.moe else 0)
