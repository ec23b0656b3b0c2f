"""A new run: its directory, and everything in memory that training needs."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tinygpt.config import RunConfig, flatten, unflatten
from tinygpt.data.batches import Batches
from tinygpt.data.corpus import KNOWN, Corpus
from tinygpt.data.splits import Encoded, check_length, check_tokens, encode, split_sizes
from tinygpt.data.tokenizer import Tokenizer, tokenizer_facts
from tinygpt.data.vocabulary import make_tokenizer
from tinygpt.device import (
    another_idle_gpu,
    choose_device,
    device_name,
    is_out_of_memory,
    memory_in_use,
    total_memory,
)
from tinygpt.errors import ConfigError, TinyGPTError, first_line
from tinygpt.run import (
    ResumeRecord,
    RunWriter,
    StartRecord,
    reserve_run,
    validate_run_name,
)
from tinygpt.training.evaluation import sample, sample_tokens, spread, tokens_in, windows
from tinygpt.training.learner import Learner
from tinygpt.training.recipe import with_recipe
from tinygpt.training.text_units import TextUnits, text_units

BYTES_PER_PARAMETER = 16
"""fp32 weight, gradient, momentum and average: the least that training holds."""
PROBE_WINDOWS = 128
"""Windows whose loss decides whether the whole validation split is evaluated."""


@dataclass(frozen=True, slots=True)
class Session:
    """What `Loop` needs. Close `writer` when done: it holds the run's lock."""

    config: RunConfig
    corpus: Corpus
    tokenizer: Tokenizer
    learners: list[Learner]
    writer: RunWriter
    batches: Batches
    validation: list[Tensor]
    """Windows of the validation split that are evaluated during training."""
    whole_validation: list[Tensor]
    """Windows of the whole validation split."""
    units: TextUnits
    """Of the windows of `validation`."""
    whole_units: TextUnits
    """Of those of `whole_validation`."""
    test: list[Tensor]
    """Windows of the test split, which are evaluated once, at the end; none without that split."""
    probe: list[Tensor]
    """At most `PROBE_WINDOWS` of the full windows of the validation split."""
    train_sample: list[Tensor]
    """Fixed windows of the training split, evaluated to compare with the validation loss."""
    devices: dict[str, str]
    """By variant."""
    notes: list[str] = field(default_factory=list)
    """Sentences for the user: which weight decay was chosen, or which damaged checkpoints a resume
    skipped."""

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.writer.path

    @property
    def val_tokens(self) -> int | None:
        """Tokens of the sample that is evaluated during training, None if that is all of them."""
        return None if self.validation is self.whole_validation else tokens_in(self.validation)


def begin(
    config: RunConfig,
    corpus: Corpus,
    out: str,
    name: str | None,
    argv: list[str],
    *,
    group: str | None = None,
) -> Session:
    """Create a new run directory `out`/`name`; `argv` and the name of its `group`, if it is of one,
    are recorded in run.toml.

    Without a `name`, the run gets one that no other run has, also if several start at once.

    Raises:
        TinyGPTError: settings, corpus or name cannot be used. Everything a user can get wrong is
            checked before the directory is created.
    """
    if name is not None:
        validate_run_name(name)
    check_length(corpus.text, config.gpt.context, config.shares)
    devices = choose_devices(config)
    trained, _, _ = split_sizes(len(corpus.text), config.shares)
    tokenizer = make_tokenizer(config.tokenizer, corpus.text, trained, config.vocab_size)
    check_prompt(config, tokenizer)
    encoded = encode(tokenizer, corpus.text, config.shares)
    check_tokens(encoded, config.gpt.context, config.shares)
    size, device = tokenizer.vocab_size, devices[config.variants[0]]
    config, note = with_recipe(config, len(encoded.train), size, device)
    learners = make_learners(config, tokenizer, devices)
    described = describe(config, corpus, argv) | ({"group": group} if group else {})
    path = reserve_run(out, config.preset) if name is None else Path(out, name)
    writer = RunWriter.create(path, described, tokenizer.to_json())
    start = start_record(config, path.name, described, learners, encoded)
    with closed_on_failure(writer):
        return assemble(
            writer,
            config,
            start,
            corpus=corpus,
            encoded=encoded,
            learners=learners,
            notes=[note] if note else [],
        )


def start_record(
    config: RunConfig,
    name: str,
    described: Mapping[str, Any],
    learners: Sequence[Learner],
    encoded: Encoded,
) -> StartRecord:
    """The first record of a run; `described` is what run.toml holds."""
    return StartRecord(
        time=time.time(),
        run=name,
        corpus=described["corpus"],
        models={v.variant: _counts(v) for v in learners},
        device=device_names(learners),
        versions=described["versions"],
        steps=config.steps,
        context=config.gpt.context,
        batch_tokens=config.batch_tokens,
        val_tokens=_sample_tokens(config, len(encoded.validation)),
        tokenizer=tokenizer_facts(encoded.tokenizer),
    )


def choose_devices(config: RunConfig) -> dict[str, str]:
    """The device of each variant: the one that the configuration names, or its choice. Two variants
    get a GPU each if that is left to the choice and nobody uses the second one.

    Raises:
        ConfigError: the device is not available.
    """
    first = choose_device(config.device, config.train.threads)
    devices = dict.fromkeys(config.variants, first)
    if len(devices) > 1 and config.device in ("auto", "cuda"):
        devices[config.variants[-1]] = another_idle_gpu(first) or first
    return devices


def device_names(learners: Sequence[Learner]) -> str:
    """The device, or devices, that the variants are trained on, as text."""
    names = (device_name(v.device, v.matmul_dtype) for v in learners)
    return " and ".join(dict.fromkeys(names))


def _sample_tokens(config: RunConfig, tokens: int) -> int | None:
    between = config.train.eval_every * config.batch_tokens
    return sample_tokens(tokens, config.gpt.context, between)


def describe(config: RunConfig, corpus: Corpus, argv: list[str]) -> dict[str, Any]:
    """The contents of run.toml. The path of a corpus is stored absolute: a resume may start in
    another folder."""
    settings = flatten(config)
    file = {"bytes": corpus.size, "path": corpus.path} if corpus.path else {}
    if file and config.data not in ("auto", *KNOWN):
        settings["data"] = str(corpus.path)
    described = {
        "name": corpus.name,
        "sha256": corpus.sha256,
        "chars": len(corpus.text),
        "source": corpus.source,
        **file,
    }
    return {
        **unflatten({name: _writable(value) for name, value in settings.items()}),
        "corpus": {name: _writable(value) for name, value in described.items()},
        "versions": versions(),
        "argv": [_writable(argument) for argument in argv],
        "begun": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _writable(value: Any) -> Any:
    """Text that UTF-8 can encode: invalid bytes of a file name become escapes."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def versions() -> dict[str, str]:
    """The versions of tinygpt-tui, torch and Python, which the results depend on."""
    try:
        own = metadata.version("tinygpt-tui")
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        own = "unknown"
    return {"tinygpt-tui": own, "torch": torch.__version__, "python": platform.python_version()}


@contextmanager
def closed_on_failure(writer: RunWriter) -> Iterator[None]:
    """Release the run's lock if the session cannot be set up."""
    try:
        yield
    except BaseException:
        writer.close()
        raise


def assemble(
    writer: RunWriter,
    config: RunConfig,
    first: StartRecord | ResumeRecord,
    *,
    corpus: Corpus,
    encoded: Encoded,
    learners: list[Learner],
    notes: Sequence[str] = (),
) -> Session:
    """A session from its parts, with the corpus as `encoded`; writes its first record."""
    context = config.gpt.context
    train, validation, test = (
        torch.from_numpy(part).to(learners[0].device) for part in encoded.splits
    )
    whole, size = windows(validation, context), _sample_tokens(config, len(validation))
    evaluated = whole if size is None else sample(validation, context, size)
    whole_units = text_units(encoded.tokenizer, whole)
    session = Session(
        config=config,
        corpus=corpus,
        tokenizer=encoded.tokenizer,
        learners=learners,
        writer=writer,
        batches=Batches(train, config.train.batch, context, config.train.accumulate, config.seed),
        validation=evaluated,
        whole_validation=whole,
        units=whole_units if size is None else text_units(encoded.tokenizer, evaluated),
        whole_units=whole_units,
        test=windows(test, context) if len(test) else [],
        probe=spread(validation, context, PROBE_WINDOWS),
        train_sample=spread(train, context, config.train.eval_train_windows),
        devices={v.variant: v.device for v in learners},
        notes=list(notes),
    )
    writer.append(first)
    return session


def make_learners(
    config: RunConfig, tokenizer: Tokenizer, devices: Mapping[str, str]
) -> list[Learner]:
    """The variants before their first step, each on its device.

    Raises:
        ConfigError: they do not fit in its memory, or it cannot be used.
    """
    for device in set(devices.values()):
        placed = [variant for variant in config.variants if devices[variant] == device]
        _refuse_too_large(config, placed, tokenizer.vocab_size, device)
    return [_make_learner(v, config, tokenizer.vocab_size, devices[v]) for v in config.variants]


def _refuse_too_large(
    config: RunConfig, variants: Sequence[str], vocab_size: int, device: str
) -> None:
    """Raises ConfigError if the variants cannot fit in the memory of their device.

    Checked before allocating: a system that overcommits memory would kill the process later.
    """
    total = sum(config.model_config(v, vocab_size).parameters()[0] for v in variants)
    if total * BYTES_PER_PARAMETER > total_memory(device):
        raise ConfigError(_too_large(" and ".join(variants), total))


def _too_large(what: str, total: int, used: str = "") -> str:
    return (
        f"{total:,} parameters ({what}) do not fit in the memory of this device{used}: "
        "choose a smaller --gpt.width or --gpt.layers"
    )


def _make_learner(variant: str, config: RunConfig, vocab_size: int, device: str) -> Learner:
    try:
        return Learner(variant, config, vocab_size, device)
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            total, _ = config.model_config(variant, vocab_size).parameters()
            used = f" ({memory_in_use(device)})"
            raise ConfigError(_too_large(variant, total, used)) from error
        if device == "cpu":
            raise
        raise ConfigError(
            f"--device {device} cannot be used ({first_line(error)}): use --device cpu"
        ) from error


def check_prompt(config: RunConfig, tokenizer: Tokenizer) -> None:
    """Raises ConfigError if the sample prompt has characters that the corpus lacks."""
    try:
        tokenizer.encode(config.train.sample_prompt)
    except TinyGPTError as error:
        raise ConfigError(f"--train.sample-prompt cannot be encoded: {error}") from error


def _counts(learner: Learner) -> dict[str, int]:
    total, active = learner.model.parameter_counts()
    return {"params_total": total, "params_active": active}
