"""What can be asked for: frozen dataclasses with units, presets, and the way to and from TOML.

Every field has one dotted name (``optim.learning_rate``), the same in ``run.toml``, in a
``--config`` file, on the command line (``--optim.learning-rate``) and in error messages. A field's
help and its range stand beside it; the command line and the new-run form are made from them.
"""

# No postponed annotations here: `tinygpt.fields` reads the types of the fields.
import dataclasses
import math
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from tinygpt.errors import ConfigError
from tinygpt.fields import convert, nearest, setting

VARIANTS = ("dense", "moe")

Scalar: TypeAlias = str | int | float | bool


class _Checked:
    """Checks every field's type and range as the dataclass is made."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            if "help" in field.metadata:
                value = convert(field, getattr(self, field.name), field.name)
                object.__setattr__(self, field.name, value)


@dataclass(frozen=True, kw_only=True)
class MoEConfig(_Checked):
    """The feed-forward block as experts behind a router (Switch Transformer, arXiv:2101.03961)."""

    experts: int = setting(4, "experts a layer", low=1, high=1024)
    top_k: int = setting(1, "experts that each token is sent to", low=1)
    aux_loss: float = setting(
        0.01, "weight of the load-balancing loss of Switch (0: none)", low=0.0
    )
    z_loss: float = setting(0.0, "weight of the router z-loss of ST-MoE (0: none)", low=0.0)
    bias_rate: float = setting(
        0.0, "step of the selection bias of DeepSeek's loss-free balancing (0: none)", low=0.0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.top_k > self.experts:
            raise ConfigError(
                f"moe.top_k is {self.top_k}, but there are only {self.experts} experts: "
                f"choose 1 to {self.experts}, or raise moe.experts"
            )


@dataclass(frozen=True, kw_only=True)
class ModelConfig(_Checked):
    """The shape of a decoder Transformer. With ``moe`` set, its feed-forward blocks are experts."""

    vocab_size: int = 65
    layers: int = setting(4, "Transformer blocks", low=1, high=1000)
    heads: int = setting(4, "attention heads a block", low=1)
    width: int = setting(128, "channels of the residual stream", low=2)
    context: int = setting(64, "tokens that a prediction can see", low=2, high=65_536)
    hidden: int = setting(0, "active channels inside a feed-forward block (0: 4 x width)", low=0)
    conv_size: int = setting(
        4, "tokens that the short convolution of the embeddings spans (1: none)", low=1, high=64
    )
    dropout: float = setting(0.0, "probability of dropping a channel", low=0.0, below=1.0)
    rope_base: float = setting(10000.0, "base of the rotary frequencies", above=1.0)
    moe: MoEConfig | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.vocab_size) is not int or self.vocab_size < 1:
            raise ConfigError(f"vocab_size is {self.vocab_size}; it has to be at least 1")
        if self.width % self.heads:
            raise ConfigError(
                f"gpt.width {self.width} is not a multiple of gpt.heads {self.heads}: "
                f"try --gpt.width {math.ceil(self.width / self.heads) * self.heads}"
            )
        if self.head_width % 2:
            raise ConfigError(
                f"gpt.width / gpt.heads is {self.head_width}, but rotary positions turn channels "
                f"in pairs: make it even, as --gpt.width {self.heads * (self.head_width + 1)}"
            )
        if self.moe and self.active_hidden % self.moe.top_k:
            raise ConfigError(
                f"gpt.hidden {self.active_hidden} does not divide among moe.top_k {self.moe.top_k} "
                "experts: choose a multiple"
            )

    @property
    def head_width(self) -> int:
        """Channels of one head."""
        return self.width // self.heads

    @property
    def active_hidden(self) -> int:
        """Feed-forward channels that one token passes through, Dense and MoE alike."""
        return self.hidden or 4 * self.width

    @property
    def expert_hidden(self) -> int:
        """Channels inside one expert: ``top_k`` of them make up `active_hidden`."""
        return self.active_hidden // (self.moe.top_k if self.moe else 1)

    def parameters(self) -> tuple[int, int]:
        """Parameter counts, (total, active for one token), without building the model."""
        d, v = self.width, self.vocab_size
        expert = 2 * d * self.expert_hidden
        attention = 4 * d * d
        norms = 2 * d
        count, active = (self.moe.experts, self.moe.top_k) if self.moe else (1, 1)
        gate = count * d if self.moe else 0
        fixed = 2 * v * d + (self.conv_size - 1) * d + d + self.layers * (attention + norms + gate)
        return fixed + self.layers * count * expert, fixed + self.layers * active * expert

    def stored_numbers(self) -> int:
        """How many numbers a checkpoint holds: the parameters, and the routers' selection bias."""
        return self.parameters()[0] + (self.layers * self.moe.experts if self.moe else 0)


@dataclass(frozen=True, kw_only=True)
class OptimConfig(_Checked):
    """Optimizer and schedule."""

    optimizer: Literal["muon", "adamw"] = setting(
        "muon", "muon: Muon for the matrices and AdamW for the rest; adamw: AdamW alone"
    )
    matrix_learning_rate: float = setting(0.02, "peak learning rate of Muon", above=0.0)
    learning_rate: float = setting(8e-3, "peak learning rate of AdamW", above=0.0)
    momentum: float = setting(0.95, "momentum of Muon", low=0.0, below=1.0)
    beta1: float = setting(0.9, "first decay of AdamW", low=0.0, below=1.0)
    beta2: float = setting(0.98, "second decay of AdamW", low=0.0, below=1.0)
    weight_decay: float = setting(0.1, "decoupled weight decay of the matrices", low=0.0)
    clip: float = setting(1.0, "largest norm of the gradient (0: no clipping)", low=0.0)
    warmup: int = setting(20, "optimizer steps of linear warm-up", low=0)
    decay: float = setting(0.6, "share of the run that decays linearly at its end", low=0, high=1)
    final: float = setting(
        0.02, "learning rate at the very end, as a share of its peak", low=0, high=1
    )
    average: float = setting(
        0.1,
        "share of the steps taken whose weights are averaged into what is saved (0: none)",
        low=0,
        high=1,
    )


@dataclass(frozen=True, kw_only=True)
class TrainConfig(_Checked):
    """Batches, evaluation, records and checkpoints."""

    batch: int = setting(12, "sequences a micro-batch", low=1)
    accumulate: int = setting(1, "micro-batches an optimizer step", low=1)
    eval_every: int = setting(250, "optimizer steps between evaluations", low=1)
    log_every: int = setting(1, "optimizer steps between train records", low=1)
    checkpoint_every: int = setting(
        250, "optimizer steps between checkpoints, besides the snapshots (0: snapshots only)", low=0
    )
    snapshots: int = setting(20, "log-spaced checkpoints kept per variant", low=0)
    eval_train_windows: int = setting(256, "fixed windows of the train split evaluated", low=1)
    sample_prompt: str = setting("", "prompt of each evaluation's sample (empty: a new line)")
    sample_tokens: int = setting(200, "tokens of that sample (0: none)", low=0)
    precision: Literal["auto", "bf16", "fp32"] = setting(
        "auto", "products in bf16 over fp32 weights, or in fp32 (auto: bf16 where it is faster)"
    )
    compile: bool = setting(True, "torch.compile on CUDA")
    threads: int = setting(0, "CPU threads (0: PyTorch's choice)", low=0, high=1024)


@dataclass(frozen=True, kw_only=True)
class RunConfig(_Checked):
    """One run, whole: what ``run.toml`` holds and what the command line can say."""

    preset: Literal["micro", "nano", "baby", "small"] = setting("nano", "shape and schedule")
    model: Literal["both", "dense", "moe"] = setting("both", "which variants to train")
    data: str = setting("auto", "tinyshakespeare, shakespeare-standin, or a UTF-8 text file")
    tokenizer: Literal["char", "bpe"] = setting("char", "characters, or byte-pair encoding")
    steps: int | None = setting(None, "optimizer steps", low=1)
    minutes: float | None = setting(None, "minutes of training, both variants together", above=0.0)
    target_loss: float | None = setting(
        None, "validation loss in nats at which a variant ends", above=0.0
    )
    seed: int = setting(1, "seed of weights, batches and dropout", low=0, below=2**63)
    device: Literal["auto", "cpu", "cuda", "mps"] = setting("auto", "where to compute")
    gpt: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    moe: MoEConfig = dataclasses.field(default_factory=MoEConfig)
    optim: OptimConfig = dataclasses.field(default_factory=OptimConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tokenizer == "bpe":
            raise ConfigError("--tokenizer bpe is not built yet: use --tokenizer char")
        for variant in self.variants:
            self.model_config(variant, 1)

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants that are trained, in the order they are shown."""
        return VARIANTS if self.model == "both" else (self.model,)

    def model_config(self, variant: str, vocab_size: int) -> ModelConfig:
        """The shape of one variant for a vocabulary of `vocab_size` entries."""
        moe = self.moe if variant == "moe" else None
        return dataclasses.replace(self.gpt, vocab_size=vocab_size, moe=moe)

    @property
    def batch_tokens(self) -> int:
        """Tokens that one optimizer step learns from."""
        return self.train.batch * self.train.accumulate * self.gpt.context


# The reason stands beside each number that differs from the default.
PRESETS: dict[str, dict[str, Scalar]] = {
    # The scale of the assignment this grew from; a laptop trains it in minutes.
    "micro": {
        "gpt.layers": 2,
        "gpt.heads": 4,
        "gpt.width": 64,
        "gpt.context": 32,
        "train.batch": 64,
        "steps": 10000,
        "train.eval_every": 500,
        "train.checkpoint_every": 500,
    },
    # nanoGPT's README command for a CPU: 4/4/128, context 64, batch 12, 2,000 steps.
    "nano": {"steps": 2000},
    # nanoGPT's config/train_shakespeare_char.py for a GPU.
    "baby": {
        "gpt.layers": 6,
        "gpt.heads": 6,
        "gpt.width": 384,
        "gpt.context": 256,
        "gpt.dropout": 0.2,
        "train.batch": 64,
        "steps": 5000,
        "train.log_every": 10,  # reading a loss waits for the GPU
    },
    # GPT-2 124M, made for BPE and larger corpora.
    "small": {
        "gpt.layers": 12,
        "gpt.heads": 12,
        "gpt.width": 768,
        "gpt.context": 1024,
        "train.batch": 12,
        "train.accumulate": 5,
        "steps": 20000,
        "train.log_every": 10,
        "train.eval_every": 1000,
        "train.checkpoint_every": 1000,
    },
}


def preset_for(device: str) -> str:
    """What ``--preset auto`` means on a device: nano on a CPU, baby on an NVIDIA GPU."""
    return "baby" if device == "cuda" else "nano"


ALIASES = {"train.film": "train.snapshots"}
"""Names that settings had before: still read from flags, ``--config`` files and ``run.toml``."""


def dotted_fields(
    cls: type = RunConfig, prefix: str = ""
) -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    """Every setting of a configuration as (dotted name, field), top level first."""
    groups = []
    for field in dataclasses.fields(cls):
        if "help" in field.metadata:
            yield prefix + field.name, field
        elif field.default_factory is not dataclasses.MISSING:
            groups.append((prefix + field.name + ".", field.default_factory))
    for name, group in groups:
        yield from dotted_fields(typing.cast(type, group), name)


def flatten(config: Any, prefix: str = "") -> dict[str, Scalar]:
    """A configuration as dotted names and values; what is None is left out, as in TOML."""
    flat: dict[str, Scalar] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if "help" in field.metadata:
            if value is not None:
                flat[prefix + field.name] = value
        elif dataclasses.is_dataclass(value) and field.default_factory is not dataclasses.MISSING:
            flat.update(flatten(value, prefix + field.name + "."))
    return flat


def build(values: Mapping[str, object], *, preset_applies: bool = True) -> RunConfig:
    """A configuration from dotted names: the preset first, then what `values` says.

    Minutes without steps replace the preset's steps. A configuration that was stored whole is read
    back with `preset_applies` false.

    Raises:
        ConfigError: an unknown name (the nearest valid one is offered), a wrong type or value.
    """
    known = dict(dotted_fields())
    for name in values:
        if name not in known:
            raise ConfigError(f"unknown key {name!r}{nearest(name, known)}")
    preset = str(values.get("preset", "nano"))
    if preset not in PRESETS:
        raise ConfigError(
            f"--preset {preset!r} is not one of {', '.join(PRESETS)}{nearest(preset, PRESETS)}"
        )
    merged: dict[str, object] = {**(PRESETS[preset] if preset_applies else {}), **values}
    if "minutes" in values and "steps" not in values:
        merged.pop("steps", None)
    config: RunConfig = _build_group(RunConfig, "", merged)
    return config


def _build_group(cls: type, prefix: str, values: Mapping[str, object]) -> Any:
    arguments: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        name = prefix + field.name
        if "help" in field.metadata:
            if name in values:
                arguments[field.name] = convert(field, values[name], name)
        elif field.default_factory is not dataclasses.MISSING:
            arguments[field.name] = _build_group(
                typing.cast(type, field.default_factory), name + ".", values
            )
    return cls(**arguments)


def unflatten(flat: Mapping[str, Scalar]) -> dict[str, Any]:
    """Dotted names as nested tables, for TOML."""
    tables: dict[str, Any] = {}
    for name, value in flat.items():
        group, _, leaf = name.rpartition(".")
        (tables.setdefault(group, {}) if group else tables)[leaf] = value
    return tables


def from_tables(tables: Mapping[str, Any]) -> dict[str, object]:
    """Nested TOML tables as dotted names."""
    flat: dict[str, object] = {}
    for key, value in tables.items():
        if isinstance(value, Mapping):
            flat.update({f"{key}.{inner}": leaf for inner, leaf in value.items()})
        else:
            flat[key] = value
    return {ALIASES.get(name, name): value for name, value in flat.items()}
