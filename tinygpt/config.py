"""The configuration of a run: frozen dataclasses, presets, and conversion to and from TOML.

Every field has one dotted name (``optim.learning_rate``), the same in ``run.toml``, in a
``--config`` file, on the command line (``--optim.learning-rate``) and in error messages. A field's
help and range are part of it; the command line and the form for a new run are generated from them.
"""

# No postponed annotations here: `tinygpt.fields` reads the types of the fields.
import dataclasses
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from tinygpt.errors import ConfigError
from tinygpt.fields import Setting, SettingError, convert, nearest, setting
from tinygpt.model_config import Checked, ModelConfig, MoEConfig
from tinygpt.presets import PRESETS, Scalar

VARIANTS = ("dense", "moe")
DEVICES = ("auto", "cpu", "cuda", "mps")
"""Where to compute, besides a GPU with its number: "cuda:1"."""

TRAINED_TOKENIZERS = ("bpe", "wordpiece")
TOKENIZERS = ("char", *TRAINED_TOKENIZERS)
SMALLEST_BPE, SMALLEST_WORDPIECE = 256, 512
"""Tokens of the smallest vocabularies: each byte, with WordPiece also within a word."""

LARGEST_SHARE = 0.5
"""Of the text, for validation or for a test; the rest, a tenth at least, is to train on."""

LARGEST_KEPT = 0.9


class Shares(NamedTuple):
    """How much of a text is kept from training."""

    validation: float = 0.1
    test: float = 0.0


@dataclass(frozen=True, kw_only=True)
class OptimConfig(Checked):
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
class TrainConfig(Checked):
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
    disk_budget: float | None = setting(
        None,
        "GB that all checkpoints of the run may take: fewer are kept (default: no limit)",
        above=0.0,
    )
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
    hang_after: float = setting(
        10.0,
        "minutes without progress after which one of several processes counts as hung",
        above=0.0,
    )
    threads: int = setting(0, "CPU threads (0: PyTorch's choice)", low=0, high=1024)


@dataclass(frozen=True, kw_only=True)
class RunConfig(Checked):
    """All settings of a run: what ``run.toml`` stores and the command line can set."""

    preset: Literal["micro", "nano", "baby", "small"] = setting("nano", "model size and schedule")
    model: Literal["both", "dense", "moe"] = setting("both", "which variants to train")
    data: str = setting(
        "auto",
        "tinyshakespeare, shakespeare-standin, or UTF-8 text: a file, several, a folder, a pattern "
        "(also .gz, .zst, .jsonl), or hf:NAME for a dataset of Hugging Face",
    )
    data_field: str = setting("text", "key of the text in a line of JSONL, or column of a dataset")
    val_data: str | None = setting(
        None, "another text for validation, as --data has it (default: a share of the text)"
    )
    val_share: float = setting(
        Shares().validation,
        "share of the text, after what is trained on, for validation",
        above=0.0,
        high=LARGEST_SHARE,
    )
    test_share: float = setting(
        0.0,
        "share of the text, at its end, that is kept for one test of the trained models",
        low=0.0,
        high=LARGEST_SHARE,
    )
    tokenizer: str = setting(
        "char", "char, bpe, wordpiece, or a tokenizer.json: of a run, or in Hugging Face's format"
    )
    init_from: str | None = setting(
        None,
        "train on from the best weights of this run, a variant or a checkpoint; the shape of the "
        "model and the tokenizer are its own",
    )
    vocab_size: int | None = setting(
        None,
        "tokens of the vocabulary of bpe or wordpiece (default: by the size of the text)",
        low=SMALLEST_BPE,
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
        if self.val_data is not None and self.val_share != Shares().validation:
            raise SettingError(
                Setting("val_share"),
                f" {self.val_share:g} is for a corpus without ",
                Setting("val_data"),
                ": give one of them",
            )
        if self.val_share + self.test_share > LARGEST_KEPT:
            raise SettingError(
                Setting("val_share"),
                f" {self.val_share:g} and ",
                Setting("test_share"),
                f" {self.test_share:g} leave less than a tenth of the text to train on: choose "
                "smaller ones",
            )
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
    def shares(self) -> Shares:
        """How much of the text is kept from training."""
        return Shares(0.0 if self.val_data is not None else self.val_share, self.test_share)

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants to train, in the order they are shown."""
        return VARIANTS if self.model == "both" else (self.model,)

    def model_config(self, variant: str, vocab_size: int) -> ModelConfig:
        """The model configuration of one variant, for a vocabulary of `vocab_size` tokens."""
        moe = self.moe if variant == "moe" else None
        shape = dataclasses.replace(self.gpt, vocab_size=vocab_size, moe=moe)
        return dataclasses.replace(shape, tie_embeddings=shape.tied)

    def with_vocabulary(self, vocab_size: int) -> "RunConfig":
        """With a value for the settings whose default depends on the size of the vocabulary."""
        tied = self.model_config("dense", vocab_size).tie_embeddings
        return dataclasses.replace(self, gpt=dataclasses.replace(self.gpt, tie_embeddings=tied))

    @property
    def batch_tokens(self) -> int:
        """Tokens per optimizer step."""
        return self.train.batch * self.train.accumulate * self.gpt.context


ALIASES = {"train.film": "train.snapshots"}
"""Former names of settings, still accepted in flags, ``--config`` files and ``run.toml``."""

END_SETTINGS = ("steps", "minutes", "target_loss", "patience")
"""Settings that decide when a run ends. A resume may replace them, also for later resumes."""

EARLIER: dict[str, Scalar] = {
    "gpt.tie_embeddings": False,
    "moe.balance_over": "micro-batch",
    "optim.weight_decay": 0.1,
    "optim.weight_decay_power": 1.0,
    "optim.decay_taps": True,
}
"""What was done before a setting existed, or before its default changed: what its absence in a
``run.toml`` means."""

RECORDED = {
    **dict.fromkeys(("corpus", "versions", "git", "init_steps"), Mapping),
    "argv": list,
    "begun": str,
    "group": str,
}
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
