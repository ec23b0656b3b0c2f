"""A new run: its directory, and everything in memory that training needs."""

from __future__ import annotations

import platform
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tinygpt.config import RunConfig, flatten, unflatten
from tinygpt.data.batches import Batches
from tinygpt.data.corpus import KNOWN, Corpus
from tinygpt.data.encoding import Encoded, encode
from tinygpt.data.scan import Report, silent
from tinygpt.data.splits import WITHOUT_TEST, check_length, check_tokens
from tinygpt.data.tokenizer import Ids, Tokenizer, tokenizer_facts
from tinygpt.data.vocabulary import make_tokenizer
from tinygpt.device import (
    another_idle_gpu,
    choose_device,
    device_name,
    device_of_process,
    is_out_of_memory,
    memory_in_use,
    total_memory,
)
from tinygpt.errors import ConfigError, TinyGPTError, first_line
from tinygpt.git_state import git_state
from tinygpt.run import (
    ResumeRecord,
    RunWriter,
    StartRecord,
    reserve_run,
    validate_run_name,
)
from tinygpt.training.disk_plan import DiskPlan, plan, refuse_full_disk
from tinygpt.training.evaluation import sample, sample_tokens, spread, tokens_in, windows
from tinygpt.training.initial_weights import load_initial
from tinygpt.training.learner import Learner
from tinygpt.training.recipe import with_recipe
from tinygpt.training.silent_writer import SilentWriter
from tinygpt.training.text_units import TextUnits, text_units
from tinygpt.world import ALONE, World

BYTES_PER_PARAMETER = 16
"""fp32 weight, gradient, momentum and average: the least that training holds."""
DEVICE_SHARE = 1 / 16
"""Of a GPU's memory that each split of the text may take there."""
PROBE_WINDOWS = 128
"""Windows whose loss decides whether the whole validation split is evaluated."""


@dataclass(frozen=True)
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
    release: Callable[[], None]
    """See `Encoded.release`."""
    test: list[Tensor]
    """Windows of the test split, which are evaluated once, at the end; none without that split."""
    probe: list[Tensor]
    """At most `PROBE_WINDOWS` of the full windows of the validation split."""
    train_sample: list[Tensor]
    """Fixed windows of the training split, evaluated to compare with the validation loss."""
    devices: dict[str, str]
    """By variant."""
    kept: DiskPlan
    """Which checkpoints are kept, and what they take."""
    world: World = ALONE
    """The processes that train it together."""
    notes: list[str] = field(default_factory=list)
    """Sentences for the user: which weight decay was chosen, or which damaged checkpoints a resume
    skipped."""

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.writer.path

    @cached_property
    def whole_units(self) -> TextUnits:
        """Of the windows of `whole_validation`: all of them are read."""
        same = self.validation is self.whole_validation
        return self.units if same else text_units(self.tokenizer, self.whole_validation)

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
    validation: Corpus | None = None,
    report: Report = silent,
    world: World = ALONE,
) -> Session:
    """Create a new run directory `out`/`name`; `argv` and the name of its `group`, if it is of one,
    are recorded in run.toml.

    `validation` is another text for validation; `report` is called while a large text is encoded.
    Of the processes of `world`, the first one creates the directory.

    Without a `name`, the run gets one that no other run has, also if several start at once.

    Raises:
        TinyGPTError: settings, corpus or name cannot be used. Everything a user can get wrong is
            checked before the directory is created.
    """
    if name is not None:
        validate_run_name(name)
    check_length(corpus.characters, config.gpt.context, config.shares)
    devices = choose_devices(config, world)
    corpora = [corpus] if validation is None else [corpus, validation]
    with world.in_turn():
        tokenizer = make_tokenizer(
            config.tokenizer, corpora, config.shares, config.vocab_size, config.init_from
        )
        check_prompt(config, tokenizer)
        encoded = encode(tokenizer, corpora, config.shares, report)
    check_tokens([*map(len, encoded.splits)], config.gpt.context, test=config.test_share > 0)
    size, device = tokenizer.vocab_size, devices[config.variants[0]]
    notes = [] if config.gpt.tie_embeddings is not None else _tied_note(config, size)
    config, note = with_recipe(config.with_vocabulary(size), len(encoded.train), size, device)
    learners = make_learners(config, tokenizer, devices, world)
    initial = {"init_steps": load_initial(config, learners)} if config.init_from else {}
    kept = plan(config, learners)
    described = describe(config, corpora, argv) | ({"group": group} if group else {}) | initial
    if world.first:
        refuse_full_disk(kept, out)
        path = reserve_run(out, config.preset) if name is None else Path(out, name)
        writer = RunWriter.create(path, described, tokenizer.to_json())
        world.agree(str(path))
    else:
        writer = SilentWriter(Path(world.agree("")))
    start = start_record(config, writer.path.name, described, learners, encoded)
    with closed_on_failure(writer):
        return assemble(
            writer,
            config,
            start,
            corpus=corpus,
            encoded=encoded,
            learners=learners,
            kept=kept,
            world=world,
            notes=([note] if note else []) + notes,
        )


def _tied_note(config: RunConfig, vocab_size: int) -> list[str]:
    """What to say where the vocabulary decides about tied embeddings: nothing if it is small."""
    tied = config.model_config("dense", vocab_size).tied
    return [f"tied embeddings, for a vocabulary of {vocab_size:,} tokens"] if tied else []


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
        processes=learners[0].world.size if learners[0].world.size > 1 else None,
        versions=described["versions"],
        steps=config.steps,
        context=config.gpt.context,
        batch_tokens=config.batch_tokens,
        val_tokens=_sample_tokens(config, len(encoded.validation)),
        tokenizer=tokenizer_facts(encoded.tokenizer),
    )


def choose_devices(config: RunConfig, world: World = ALONE) -> dict[str, str]:
    """The device of each variant: the one that the configuration names, or its choice. Two variants
    get a GPU each if that is left to the choice and nobody uses the second one. Each of several
    processes on a machine has one GPU for both.

    Raises:
        ConfigError: the device is not available, or there are too few sequences for the processes.
    """
    if world.size > 1:
        if config.train.batch < world.size:
            raise ConfigError(
                f"--train.batch {config.train.batch} has no sequence for some of the "
                f"{world.size} processes: use --train.batch {world.size} or more"
            )
        own = device_of_process(config.device, config.train.threads)
        return dict.fromkeys(config.variants, own)
    first = choose_device(config.device, config.train.threads)
    devices = dict.fromkeys(config.variants, first)
    if len(devices) > 1 and config.device in ("auto", "cuda"):
        devices[config.variants[-1]] = another_idle_gpu(first) or first
    return devices


def device_names(learners: Sequence[Learner]) -> str:
    """The device, or devices, that the variants are trained on, as text."""
    names = (device_name(v.device, v.matmul_dtype) for v in learners)
    several = learners[0].world.size
    prefix = f"{several} processes, each on " if several > 1 else ""
    return prefix + " and ".join(dict.fromkeys(names))


def _sample_tokens(config: RunConfig, tokens: int) -> int | None:
    between = config.train.eval_every * config.batch_tokens
    return sample_tokens(tokens, config.gpt.context, between)


def describe(config: RunConfig, corpora: Sequence[Corpus], argv: list[str]) -> dict[str, Any]:
    """The contents of run.toml. The path of a corpus is stored absolute: a resume may start in
    another folder."""
    settings = flatten(config)
    described: dict[str, Any] = {}
    for corpus, setting, prefix in zip(corpora, ("data", "val_data"), ("", "val_"), strict=False):
        known: dict[str, Any] = {
            "name": corpus.name,
            "sha256": corpus.sha256,
            "chars": corpus.characters,
            "source": corpus.source,
        }
        if corpus.facts.documents > 1:
            known["documents"] = corpus.facts.documents
        if corpus.path:
            known |= {"bytes": corpus.facts.size, "path": corpus.path}
            if settings.get(setting) not in ("auto", *KNOWN):
                settings[setting] = corpus.path
        described |= {prefix + name: value for name, value in known.items()}
    git = git_state()
    if config.val_data is None and config.shares != WITHOUT_TEST:
        described["split"] = "validation {:g}, test {:g}".format(*config.shares)
    return {
        **unflatten({name: _writable(value) for name, value in settings.items()}),
        "corpus": {name: _writable(value) for name, value in described.items()},
        "versions": versions(),
        **({"git": git} if git else {}),
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
    kept: DiskPlan,
    notes: Sequence[str] = (),
    world: World = ALONE,
) -> Session:
    """A session from its parts, with the corpus as `encoded`; writes its first record."""
    context, device = config.gpt.context, learners[0].device
    train, validation, test = (token_tensor(part, device) for part in encoded.splits)
    whole, size = windows(validation, context), _sample_tokens(config, len(validation))
    evaluated = whole if size is None else sample(validation, context, size)
    batches = Batches(
        train,
        config.train.batch,
        context,
        config.train.accumulate,
        config.seed,
        device,
        encoded.release,
        world.share(config.train.batch),
    )
    session = Session(
        config=config,
        corpus=corpus,
        tokenizer=encoded.tokenizer,
        learners=learners,
        writer=writer,
        batches=batches,
        validation=evaluated,
        whole_validation=whole,
        units=text_units(encoded.tokenizer, evaluated),
        release=encoded.release,
        test=windows(test, context) if len(test) else [],
        probe=spread(validation, context, PROBE_WINDOWS),
        train_sample=spread(train, context, config.train.eval_train_windows),
        devices={v.variant: v.device for v in learners},
        kept=kept,
        world=world,
        notes=list(notes),
    )
    writer.append(first)
    return session


def token_tensor(ids: Ids, device: str) -> Tensor:
    """Token ids (N,) on the device, or if they are many for its memory where they are, in files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that those in files cannot be written
        tokens = torch.from_numpy(ids)
    share = 1 if device == "cpu" else tokens.nbytes / total_memory(device)
    return tokens if share > DEVICE_SHARE else tokens.to(device)


def make_learners(
    config: RunConfig,
    tokenizer: Tokenizer,
    devices: Mapping[str, str],
    world: World = ALONE,
) -> list[Learner]:
    """The variants before their first step, each on its device.

    Raises:
        ConfigError: they do not fit in its memory, or it cannot be used.
    """
    for device in set(devices.values()):
        placed = [variant for variant in config.variants if devices[variant] == device]
        _refuse_too_large(config, placed, tokenizer.vocab_size, device)
    size = tokenizer.vocab_size
    return [_make_learner(v, config, size, devices[v], world) for v in config.variants]


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


def _make_learner(
    variant: str, config: RunConfig, vocab_size: int, device: str, world: World
) -> Learner:
    try:
        return Learner(variant, config, vocab_size, device, world)
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
