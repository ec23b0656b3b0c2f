"""The configuration of a run: frozen dataclasses, presets, and conversion to and from TOML.

Every field has one dotted name (``optim.learning_rate``), the same in ``run.toml``, in a
``--config`` file, on the command line (``--optim.learning-rate``) and in error messages. A field's
help and range are part of it; the command line and the form for a new run are generated from them.
"""

# No postponed annotations here: `tinygpt.fields` reads the types of the fields.
import dataclasses
import math
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from tinygpt.errors import ConfigError
from tinygpt.fields import Setting, SettingError, convert, nearest, setting
from tinygpt.presets import PRESETS, Scalar

VARIANTS = ("dense", "moe")
DEVICES = ("auto", "cpu", "cuda", "mps")
"""Where to compute, besides a GPU with its number: "cuda:1"."""

TRAINED_TOKENIZERS = ("bpe", "wordpiece")
TOKENIZERS = ("char", *TRAINED_TOKENIZERS)
SMALLEST_WORDPIECE = 512

LARGEST_TEST_SHARE = 0.5
"""Of the text; a tenth is for validation, the rest to train on."""


class _Checked:
    """Checks the type and range of every field when the dataclass is created."""

    GROUP: ClassVar[str] = ""
    """What precedes the name of a field in the dotted name of the setting."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            if "help" in field.metadata:
                value = convert(field, getattr(self, field.name), self.GROUP + field.name)
                object.__setattr__(self, field.name, value)


@dataclass(frozen=True, kw_only=True)
class MoEConfig(_Checked):
    """Mixture-of-experts feed-forward blocks (Switch Transformer, arXiv:2101.03961)."""

    GROUP: ClassVar[str] = "moe."
    experts: int = setting(4, "experts per layer", low=1, high=1024)
    top_k: int = setting(1, "experts that each token is routed to", low=1)
    aux_loss: float = setting(0.01, "weight of Switch's load-balancing loss (0: off)", low=0.0)
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
class ModelConfig(_Checked):
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

    def parameters(self) -> tuple[int, int]:
        """Parameter counts (total, active per token), without building the model."""
        d, v = self.width, self.vocab_size
        expert = 2 * d * self.expert_hidden
        attention = 4 * d * d
        norms = 2 * d
        count, active = (self.moe.experts, self.moe.top_k) if self.moe else (1, 1)
        gate = count * d if self.moe else 0
        fixed = 2 * v * d + (self.conv_size - 1) * d + d + self.layers * (attention + norms + gate)
        return fixed + self.layers * count * expert, fixed + self.layers * active * expert

    def stored_numbers(self) -> int:
        """Numbers in a checkpoint: the parameters and the selection biases of the routers."""
        return self.parameters()[0] + (self.layers * self.moe.experts if self.moe else 0)


@dataclass(frozen=True, kw_only=True)
class OptimConfig(_Checked):
    """Optimizer and schedule."""

    GROUP: ClassVar[str] = "optim."
    optimizer: Literal["muon", "adamw"] = setting(
        "muon", "muon: Muon for the hidden matrices, AdamW for the rest; adamw: AdamW for all"
    )
    matrix_learning_rate: float = setting(0.02, "peak learning rate of Muon", above=0.0)
    learning_rate: float = setting(8e-3, "peak learning rate of AdamW", above=0.0)
    momentum: float = setting(0.95, "momentum of Muon", low=0.0, below=1.0)
    beta1: float = setting(0.9, "beta1 of AdamW", low=0.0, below=1.0)
    beta2: float = setting(0.98, "beta2 of AdamW", low=0.0, below=1.0)
    weight_decay: float | None = setting(
        None, "decoupled weight decay of all matrices (default: by epochs and parameters)", low=0.0
    )
    weight_decay_power: float | None = setting(
        None,
        "weight decay falls with the learning rate to this power (1: as AdamW has it, 0: constant; "
        "default: by epochs and parameters)",
        low=0.0,
        high=1.0,
    )
    decay_taps: bool = setting(
        False, "weight decay for the taps of the convolution too, as for the matrices"
    )
    clip: float = setting(1.0, "gradient norm above which it is clipped (0: off)", low=0.0)
    warmup: int = setting(20, "linear warm-up, in optimizer steps", low=0)
    decay: float = setting(
        0.6, "final share of the run in which the learning rate decays linearly", low=0, high=1
    )
    final: float = setting(0.02, "learning rate at the end, as a share of its peak", low=0, high=1)
    average: float = setting(
        0.1,
        "window of the average of the weights, as a share of the steps taken: two thirds of the "
        "average lie in it (0: off)",
        low=0,
        high=1,
    )


@dataclass(frozen=True, kw_only=True)
class TrainConfig(_Checked):
    """Batches, evaluation, records and checkpoints."""

    GROUP: ClassVar[str] = "train."
    batch: int = setting(12, "sequences per micro-batch", low=1)
    accumulate: int = setting(1, "micro-batches per optimizer step", low=1)
    eval_every: int = setting(250, "optimizer steps between evaluations", low=1)
    log_every: int = setting(1, "optimizer steps between train records", low=1)
    checkpoint_every: int = setting(
        250, "optimizer steps between checkpoints, besides the snapshots (0: snapshots only)", low=0
    )
    snapshots: int = setting(20, "log-spaced checkpoints kept per variant", low=0)
    eval_train_windows: int = setting(
        256, "windows of the training split that are evaluated too", low=1
    )
    sample_prompt: str = setting("", "prompt of the sample at each evaluation (empty: a newline)")
    sample_tokens: int = setting(200, "length of the sample in tokens (0: no sample)", low=0)
    precision: Literal["auto", "bf16", "fp32"] = setting(
        "auto", "precision of matmuls; weights stay in fp32 (auto: bf16 where it is faster)"
    )
    compile: bool = setting(True, "use torch.compile on CUDA")
    cuda_graph: bool = setting(
        False, "replay each step as a CUDA graph (experimental; no effect without CUDA)"
    )
    recompute: bool = setting(
        False,
        "compute each block again in the backward pass instead of keeping what it computed: less "
        "memory for a third more time",
    )
    threads: int = setting(0, "CPU threads (0: PyTorch's choice)", low=0, high=1024)


@dataclass(frozen=True, kw_only=True)
class RunConfig(_Checked):
    """All settings of a run: what ``run.toml`` stores and the command line can set."""

    preset: Literal["micro", "nano", "baby", "small"] = setting("nano", "model size and schedule")
    model: Literal["both", "dense", "moe"] = setting("both", "which variants to train")
    data: str = setting("auto", "tinyshakespeare, shakespeare-standin, or a UTF-8 text file")
    test_share: float = setting(
        0.0,
        "share of the text, at its end, that is kept for one test of the trained models",
        low=0.0,
        high=LARGEST_TEST_SHARE,
    )
    tokenizer: str = setting(
        "char", "char, bpe, wordpiece, or a tokenizer.json: of a run, or in Hugging Face's format"
    )
    vocab_size: int | None = setting(
        None,
        "tokens of the vocabulary of bpe or wordpiece (default: by the size of the text)",
        low=256,
        high=1 << 20,
    )
    steps: int | None = setting(None, "optimizer steps", low=1)
    minutes: float | None = setting(
        None, "time limit in minutes, both variants together", above=0.0
    )
    target_loss: float | None = setting(
        None, "validation loss in nats per token at which a variant stops", above=0.0
    )
    patience: int = setting(
        0, "evaluations in a row without a better one after which a variant stops (0: off)", low=0
    )
    seed: int = setting(1, "random seed of weights, batches and dropout", low=0, below=2**63)
    device: str = setting("auto", "where to compute; cuda: the least used GPU, cuda:N: this one")
    gpt: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    moe: MoEConfig = dataclasses.field(default_factory=MoEConfig)
    optim: OptimConfig = dataclasses.field(default_factory=OptimConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_tokenizer()
        if not re.fullmatch(r"cuda:\d{1,3}", self.device) and self.device not in DEVICES:
            raise SettingError(
                Setting("device"),
                f" {self.device!r} is not one of {', '.join(DEVICES)}, or a GPU such as cuda:1"
                f"{nearest(self.device, DEVICES)}",
            )
        for variant in self.variants:
            self.model_config(variant, 1)

    def _check_tokenizer(self) -> None:
        kind, size = self.tokenizer, self.vocab_size
        if kind not in TOKENIZERS and "/" not in kind and not kind.endswith(".json"):
            raise SettingError(
                Setting("tokenizer"),
                f" {kind!r} is not one of {', '.join(TOKENIZERS)}, or the path of a tokenizer.json"
                f"{nearest(kind, TOKENIZERS)}",
            )
        if size is not None and kind not in TRAINED_TOKENIZERS:
            why = "one per character" if kind == "char" else "those of the file"
            raise SettingError(
                Setting("vocab_size"),
                " is for a vocabulary that is trained, with ",
                Setting("tokenizer"),
                f" {' or '.join(TRAINED_TOKENIZERS)}: with {kind} the tokens are {why}",
            )
        if kind == "wordpiece" and size is not None and size < SMALLEST_WORDPIECE:
            raise SettingError(
                Setting("vocab_size"),
                f" {size} is too small for wordpiece: it needs at least {SMALLEST_WORDPIECE}, two "
                "tokens for every byte",
            )

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants to train, in the order they are shown."""
        return VARIANTS if self.model == "both" else (self.model,)

    def model_config(self, variant: str, vocab_size: int) -> ModelConfig:
        """The model configuration of one variant, for a vocabulary of `vocab_size` tokens."""
        moe = self.moe if variant == "moe" else None
        return dataclasses.replace(self.gpt, vocab_size=vocab_size, moe=moe)

    @property
    def batch_tokens(self) -> int:
        """Tokens per optimizer step."""
        return self.train.batch * self.train.accumulate * self.gpt.context


ALIASES = {"train.film": "train.snapshots"}
"""Former names of settings, still accepted in flags, ``--config`` files and ``run.toml``."""

END_SETTINGS = ("steps", "minutes", "target_loss", "patience")
"""Settings that decide when a run ends. A resume may replace them, also for later resumes."""

EARLIER: dict[str, Scalar] = {
    "optim.weight_decay": 0.1,
    "optim.weight_decay_power": 1.0,
    "optim.decay_taps": True,
}
"""What was done before a setting existed, or before its default changed: what its absence in a
``run.toml`` means."""

RECORDED = {"corpus": Mapping, "versions": Mapping, "argv": list, "begun": str, "group": str}
"""What ``run.toml`` holds besides settings, and of which type."""


def dotted_fields(
    cls: type = RunConfig, prefix: str = ""
) -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    """Every setting as (dotted name, field), top level first."""
    groups = []
    for field in dataclasses.fields(cls):
        if "help" in field.metadata:
            yield prefix + field.name, field
        elif field.default_factory is not dataclasses.MISSING:
            groups.append((prefix + field.name + ".", field.default_factory))
    for name, group in groups:
        yield from dotted_fields(typing.cast(type, group), name)


def flatten(config: Any, prefix: str = "") -> dict[str, Scalar]:
    """A configuration as dotted names and values, without those that are None (as in TOML)."""
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
    """A configuration from dotted names: the settings of the preset, overridden by `values`.

    If `values` sets minutes but not steps, the preset's steps do not apply. With `preset_applies`
    false, `values` is a stored configuration, which already contains the preset's settings; what it
    lacks did not exist yet, and is as it was before (`EARLIER`).

    Raises:
        ConfigError: an unknown name (the message suggests the nearest one), a wrong type or value.
    """
    known = dict(dotted_fields())
    for name in values:
        if name not in known:
            raise ConfigError(f"unknown setting {name!r}{nearest(name, known)}")
    preset = str(values.get("preset", "nano"))
    if preset not in PRESETS:
        raise ConfigError(
            f"--preset {preset!r} is not one of {', '.join(PRESETS)}{nearest(preset, PRESETS)}"
        )
    merged: dict[str, object] = {**(PRESETS[preset] if preset_applies else EARLIER), **values}
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
    """Dotted names to nested tables, for TOML."""
    tables: dict[str, Any] = {}
    for name, value in flat.items():
        group, _, leaf = name.rpartition(".")
        (tables.setdefault(group, {}) if group else tables)[leaf] = value
    return tables


def from_tables(tables: Mapping[str, Any]) -> dict[str, object]:
    """Nested TOML tables to dotted names, without what is `RECORDED`; former names become
    today's."""
    flat: dict[str, object] = {}
    for key, value in tables.items():
        if key in RECORDED and isinstance(value, RECORDED[key]):
            continue
        if isinstance(value, Mapping):
            flat.update({f"{key}.{inner}": leaf for inner, leaf in value.items()})
        else:
            flat[key] = value
    return {ALIASES.get(name, name): value for name, value in flat.items()}
