"""Prepare a run to be trained: a new one, or one that was interrupted."""

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

from tinygpt.checkpoint import newest_resumable
from tinygpt.config import RunConfig, build, dotted_fields, flatten, from_tables, unflatten
from tinygpt.data.batches import Batches
from tinygpt.data.corpus import KNOWN, Corpus, check_length, find_corpus, split
from tinygpt.data.tokenizer import CharTokenizer, load_tokenizer
from tinygpt.errors import CheckpointError, ConfigError, RunError, TinyGPTError
from tinygpt.fields import flag
from tinygpt.files import atomic
from tinygpt.run import (
    VARIANTS,
    CheckpointRecord,
    MetricsReader,
    ResumeRecord,
    RunWriter,
    StartRecord,
    checkpoint_dir,
    list_steps,
    read_config,
    validate_run_name,
)
from tinygpt.run.layout import RUN_TOML, TOKENIZER
from tinygpt.run.reader import last_end
from tinygpt.training.evaluation import spread, windows
from tinygpt.training.learner import Learner

ENDS = ("steps", "minutes", "target_loss")
"""Settings that say where a run ends; a resume may replace them, for itself and those after it."""
MAY_CHANGE = frozenset({*ENDS, "data", "device", "train.threads", "train.compile"})
"""What a resumed run may be told anew. Where the corpus lies, but not what it is: its sha256 has to
be the same."""
BYTES_A_PARAMETER = 16
"""Of a weight in fp32, its gradient, its momentum, its average: what training holds at least."""
PROBE_WINDOWS = 128
"""Windows whose loss says whether the whole validation split is worth a look."""


@dataclass(frozen=True, slots=True)
class Session:
    """All that the loop needs. Close `writer` when done; it holds the run's lock."""

    config: RunConfig
    corpus: Corpus
    tokenizer: CharTokenizer
    learners: list[Learner]
    writer: RunWriter
    batches: Batches
    validation: list[Tensor]
    """Windows of the whole validation split."""
    probe: list[Tensor]
    """A part of `validation`: about `PROBE_WINDOWS` of its whole windows."""
    train_sample: list[Tensor]
    """Fixed windows of the training split, evaluated beside it."""
    device: str
    notes: list[str] = field(default_factory=list)
    """Sentences for the user: what a resume passed over."""

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.writer.path


def begin(config: RunConfig, corpus: Corpus, out: str, name: str, argv: list[str]) -> Session:
    """Make a new run directory, and all that is in memory.

    Raises:
        TinyGPTError: whatever a user can have asked wrongly; no directory is made before that is
            known to be right.
    """
    validate_run_name(name)
    check_length(corpus.text, config.gpt.context)
    tokenizer = CharTokenizer.train(corpus.text)
    _check_prompt(config, tokenizer)
    device = choose_device(config)
    learners = [_learner(v, config, tokenizer, device) for v in config.variants]
    described = describe(config, corpus, argv)
    writer = RunWriter.create(Path(out, name), described, tokenizer.to_json())
    start = _start_record(config, name, described, learners)
    with _closed_on_failure(writer):
        return _session(
            writer, config, start, corpus=corpus, tokenizer=tokenizer, learners=learners
        )


def resume(path: Path, asked: Mapping[str, object]) -> Session:
    """Take a run up again from the newest whole checkpoint of each variant.

    `asked` holds dotted names of the configuration that were named on this command line: where the
    run ends may be told anew, the rest has to be what run.toml says.

    Raises:
        TinyGPTError: there is nothing to resume, another trainer has it, the configuration or the
            corpus is another one.
    """
    stored = stored_settings(path)
    config = resumed_config(stored, asked, path)
    corpus = _same_corpus(stored, config, path)
    tokenizer = load_tokenizer(path / TOKENIZER)
    check_length(corpus.text, config.gpt.context)
    _check_prompt(config, tokenizer)
    device = choose_device(config)
    # Read before the run is opened: where nothing can be resumed, its state stays as it was.
    there = {variant: list_steps(path, variant) for variant in config.variants}
    learners, notes = _restored(config, path, tokenizer, device)
    models = {v.variant: v.progress.step for v in learners}
    end = last_end(path)
    if end is not None and end.state == "done":  # else its end alone is missing, and is written now
        _refuse_done(config, learners, path)
    writer = RunWriter.open(path, step=min(models.values()))
    again = ResumeRecord(
        time=time.time(),
        step=min(models.values()),
        models=models,
        note="; ".join(notes) or None,
        ends={name: end for name in ENDS if (end := getattr(config, name)) is not None},
    )
    with _closed_on_failure(writer):
        if {v: list_steps(path, v) for v in models} != there:
            raise RunError(f"{path} was trained on meanwhile: try again")
        if writer.empty:  # killed before its first record
            described = {"versions": versions(), **{k: _plainly(v) for k, v in stored.items()}}
            writer.append(_start_record(config, path.name, described, learners))
        _remove_later(path, models)
        return _session(
            writer,
            config,
            again,
            corpus=corpus,
            tokenizer=tokenizer,
            learners=learners,
            notes=notes,
        )


def _start_record(
    config: RunConfig, name: str, described: Mapping[str, Any], learners: Sequence[Learner]
) -> StartRecord:
    """The first record of a run; `described` is what run.toml holds."""
    return StartRecord(
        time=time.time(),
        run=name,
        corpus=described["corpus"],
        models={v.variant: _counts(v) for v in learners},
        device=device_name(learners[0].device, learners[0].product_dtype),
        versions=described["versions"],
        steps=config.steps,
        context=config.gpt.context,
        batch_tokens=config.batch_tokens,
    )


def _plainly(value: Any) -> Any:
    """Of what somebody's run.toml holds, that which a record can: no dates."""
    if isinstance(value, Mapping):
        return {key: kept for key, v in value.items() if (kept := _plainly(v)) is not None}
    return value if isinstance(value, str | int | float | bool) else None


def stored_settings(path: Path) -> dict[str, Any]:
    """run.toml, with the ends that the last resume was given.

    Raises:
        RunError: run.toml cannot be read.
    """
    stored = read_config(path)
    for item in MetricsReader(path).read_all():
        if isinstance(item, ResumeRecord) and item.ends is not None:
            stored = {name: value for name, value in stored.items() if name not in ENDS}
            stored.update({name: item.ends[name] for name in ENDS if name in item.ends})
    return stored


def resumed_config(stored: Mapping[str, Any], asked: Mapping[str, object], path: Path) -> RunConfig:
    """The stored configuration with what may change on a resume.

    Raises:
        ConfigError: `asked` differs in anything else; it names the flag and both values.
    """
    known = dict(dotted_fields())
    kept = {name: value for name, value in from_tables(stored).items() if name in known}
    if asked.keys() & {"steps", "minutes"}:  # a new end replaces the old one
        kept = {name: value for name, value in kept.items() if name not in ("steps", "minutes")}
    new = {name: value for name, value in asked.items() if name in MAY_CHANGE}
    config = build({**kept, **new}, preset_applies=False)
    was = flatten(config)
    now = flatten(build({**kept, **asked}, preset_applies=False))
    for name in asked:
        if name not in MAY_CHANGE and now.get(name) != was.get(name):
            raise ConfigError(
                f"{flag(name)} is {now.get(name)!r}, and {path} was begun with {was.get(name)!r}: "
                "leave it out to resume, or start a new run"
            )
    return config


def describe(config: RunConfig, corpus: Corpus, argv: list[str]) -> dict[str, Any]:
    """What run.toml holds."""
    return {
        **unflatten({name: _writable(value) for name, value in flatten(config).items()}),
        "corpus": {
            "name": _writable(corpus.name),
            "sha256": corpus.sha256,
            "chars": len(corpus.text),
            "source": _writable(corpus.source),
        },
        "versions": versions(),
        "argv": [_writable(argument) for argument in argv],
        "begun": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _writable(value: Any) -> Any:
    """Text that UTF-8 can hold: the bytes of a strange file name become escapes."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def versions() -> dict[str, str]:
    """Of what decides the numbers."""
    try:
        own = metadata.version("tinygpt-tui")
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        own = "unknown"
    return {"tinygpt-tui": own, "torch": torch.__version__, "python": platform.python_version()}


def choose_device(config: RunConfig) -> str:
    """The device to compute on, with the CPU threads set that were asked for.

    Raises:
        ConfigError: the one that was named is not there.
    """
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    device = config.device
    if device == "auto":
        return next(name for name, there in available.items() if there)
    if not available[device]:
        raise ConfigError(
            f"--device {device} is not available here: use --device "
            + " or ".join(name for name, there in available.items() if there)
        )
    return device


def device_name(device: str, product_dtype: torch.dtype) -> str:
    """A device for people: its kind, which, and what it multiplies in if that is not fp32."""
    half = ", bf16" if product_dtype == torch.bfloat16 else ""
    if device == "cuda":
        return f"cuda ({torch.cuda.get_device_name()}{half})"
    threads = torch.get_num_threads()
    many = "s" if threads > 1 else ""
    return f"cpu ({threads} thread{many}{half})" if device == "cpu" else device


@contextmanager
def _closed_on_failure(writer: RunWriter) -> Iterator[None]:
    """Give the run's lock back if the session does not come about."""
    try:
        yield
    except BaseException:
        writer.close()
        raise


def _session(
    writer: RunWriter,
    config: RunConfig,
    first: StartRecord | ResumeRecord,
    *,
    corpus: Corpus,
    tokenizer: CharTokenizer,
    learners: list[Learner],
    notes: Sequence[str] = (),
) -> Session:
    """All that the loop needs, with the session's first record written."""
    context, device = config.gpt.context, learners[0].device
    train, validation = (
        torch.from_numpy(ids).to(device) for ids in split(tokenizer.encode_array(corpus.text))
    )
    session = Session(
        config=config,
        corpus=corpus,
        tokenizer=tokenizer,
        learners=learners,
        writer=writer,
        batches=Batches(train, config.train.batch, context, config.train.accumulate, config.seed),
        validation=windows(validation, context),
        probe=spread(validation, context, PROBE_WINDOWS),
        train_sample=spread(train, context, config.train.eval_train_windows),
        device=device,
        notes=list(notes),
    )
    writer.append(first)
    return session


def _restored(
    config: RunConfig, path: Path, tokenizer: CharTokenizer, device: str
) -> tuple[list[Learner], list[str]]:
    """Each variant at its newest whole checkpoint, and what was passed over for that."""
    learners, notes = [], []
    reported = _with_checkpoints(path)
    for variant in config.variants:
        if variant not in reported:
            notes.append(f"{variant} had no checkpoint yet: it begins again")
            learners.append(_learner(variant, config, tokenizer, device))
            continue
        try:
            snapshot, problems = newest_resumable(path, variant)
        except CheckpointError as error:
            raise RunError(f"there is nothing to resume in {path}: {error}") from error
        if snapshot.config != config.model_config(variant, tokenizer.vocab_size):
            raise CheckpointError(
                f"the {variant} checkpoint of step {snapshot.step} was made for another model than "
                f"{path / RUN_TOML} describes"
            )
        learner = _learner(variant, config, tokenizer, device)
        learner.restore(snapshot)
        if not learner.on_target:  # of this session's target, which may be lower than the last
            learner.progress.seconds_to_target = None
        folder = checkpoint_dir(path, variant, snapshot.step)
        notes += [f"{problem}; resuming from {folder.name} instead" for problem in problems]
        learners.append(learner)
    return learners, notes


def _with_checkpoints(path: Path) -> set[str]:
    """The variants that have a checkpoint, or had one: a run that was killed within its first
    seconds has none, and loses nothing by beginning again."""
    there = {v for v in VARIANTS if list_steps(path, v)}
    if len(there) == len(VARIANTS):  # no need to read all records a second time
        return there
    items = MetricsReader(path).read_all()
    return there | {item.model for item in items if isinstance(item, CheckpointRecord)}


def _refuse_too_large(config: RunConfig, vocab_size: int, device: str) -> None:
    """Asked first: a system that promises more memory than it has kills who takes the promise up.

    Raises:
        ConfigError: the weights of all variants, and what each needs to learn, do not fit.
    """
    totals = [config.model_config(v, vocab_size).parameters()[0] for v in config.variants]
    if sum(totals) * BYTES_A_PARAMETER > memory(device):
        raise ConfigError(_too_large(" and ".join(config.variants), sum(totals)))


def _too_large(what: str, total: int) -> str:
    return (
        f"{total:,} parameters ({what}): that does not fit the memory here, "
        "choose a smaller --gpt.width or --gpt.layers"
    )


def _learner(variant: str, config: RunConfig, tokenizer: CharTokenizer, device: str) -> Learner:
    _refuse_too_large(config, tokenizer.vocab_size, device)
    try:
        return Learner(variant, config, tokenizer.vocab_size, device)
    except (RuntimeError, MemoryError) as error:
        total, _ = config.model_config(variant, tokenizer.vocab_size).parameters()
        raise ConfigError(_too_large(variant, total)) from error


def memory(device: str) -> int:
    """Bytes that the device has, in use or not."""
    if device == "cuda":
        return torch.cuda.get_device_properties(0).total_memory
    import psutil  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - 15 ms

    return int(psutil.virtual_memory().total)


def _refuse_done(config: RunConfig, learners: list[Learner], path: Path) -> None:
    """A run whose end is behind it needs a later one."""
    step = max(v.progress.step for v in learners)
    spent = max(v.progress.wall_seconds for v in learners) / 60
    if config.minutes and spent >= config.minutes:
        raise RunError(f"{path} has used its {config.minutes:g} minutes: name more --minutes")
    if not all(v.over for v in learners):
        return
    if config.steps is not None and step >= config.steps:
        raise RunError(f"{path} is done at step {step}: name a later end, as --steps {2 * step}")
    raise RunError(
        f"{path} has reached --target-loss {config.target_loss:g} at step {step}: name a lower one"
    )


def _remove_later(path: Path, models: Mapping[str, int]) -> None:
    """Delete checkpoints past the resumed steps: torn ones, or what will be trained again."""
    for variant, step in models.items():
        for later in list_steps(path, variant):
            if later > step:
                atomic.remove_directory(checkpoint_dir(path, variant, later))


def _same_corpus(stored: Mapping[str, Any], config: RunConfig, path: Path) -> Corpus:
    """The corpus that the run was begun with, found again and compared."""
    said = stored.get("corpus")
    said = said if isinstance(said, Mapping) else {}
    name = said.get("name")
    corpus = find_corpus(name if config.data == "auto" and name in KNOWN else config.data)
    if corpus.sha256 != said.get("sha256"):
        raise RunError(
            f"the corpus of {path} has changed: {corpus.source} has the sha256 "
            f"{corpus.sha256[:12]}…, and the run was begun with {str(said.get('sha256'))[:12]}…"
        )
    return corpus


def _check_prompt(config: RunConfig, tokenizer: CharTokenizer) -> None:
    try:
        tokenizer.encode(config.train.sample_prompt)
    except TinyGPTError as error:
        raise ConfigError(f"--train.sample-prompt cannot be read: {error}") from error


def _counts(learner: Learner) -> dict[str, int]:
    total, active = learner.model.parameter_counts()
    return {"params_total": total, "params_active": active}
