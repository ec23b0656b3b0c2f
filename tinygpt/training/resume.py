"""Take a run up again: each variant at its newest whole checkpoint, exactly as it was."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinygpt.checkpoint import newest_resumable
from tinygpt.config import RunConfig, build, dotted_fields, flatten, from_tables
from tinygpt.data.corpus import KNOWN, Corpus, check_length, find_corpus
from tinygpt.data.tokenizer import CharTokenizer, load_tokenizer
from tinygpt.device import choose_device
from tinygpt.errors import CheckpointError, ConfigError, RunError
from tinygpt.fields import flag
from tinygpt.files import atomic
from tinygpt.run import (
    VARIANTS,
    CheckpointRecord,
    MetricsReader,
    ResumeRecord,
    RunWriter,
    checkpoint_dir,
    list_steps,
    read_config,
)
from tinygpt.run.layout import RUN_TOML, TOKENIZER
from tinygpt.run.reader import last_end
from tinygpt.training.learner import Learner
from tinygpt.training.session import (
    Session,
    assemble,
    check_prompt,
    closed_on_failure,
    make_learner,
    start_record,
    versions,
)

ENDS = ("steps", "minutes", "target_loss")
"""Settings that say where a run ends; a resume may replace them, for itself and those after it."""

MAY_CHANGE = frozenset({*ENDS, "data", "device", "train.threads", "train.compile"})
"""What a resumed run may be told anew. Where the corpus lies, but not what it is: its sha256 has to
be the same."""


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
    check_prompt(config, tokenizer)
    device = choose_device(config.device, config.train.threads)
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
    with closed_on_failure(writer):
        if {v: list_steps(path, v) for v in models} != there:
            raise RunError(f"{path} was trained on meanwhile: try again")
        if writer.empty:  # killed before its first record
            described = {"versions": versions(), **{k: _plainly(v) for k, v in stored.items()}}
            writer.append(start_record(config, path.name, described, learners))
        _remove_later(path, models)
        return assemble(
            writer,
            config,
            again,
            corpus=corpus,
            tokenizer=tokenizer,
            learners=learners,
            notes=notes,
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


def _restored(
    config: RunConfig, path: Path, tokenizer: CharTokenizer, device: str
) -> tuple[list[Learner], list[str]]:
    """Each variant at its newest whole checkpoint, and what was passed over for that."""
    learners, notes = [], []
    reported = _with_checkpoints(path)
    for variant in config.variants:
        if variant not in reported:
            notes.append(f"{variant} had no checkpoint yet: it begins again")
            learners.append(make_learner(variant, config, tokenizer, device))
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
        learner = make_learner(variant, config, tokenizer, device)
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


def _refuse_done(config: RunConfig, learners: list[Learner], path: Path) -> None:
    """A run whose end is behind it needs a later one."""
    step = max(v.progress.step for v in learners)
    spent = max(v.progress.wall_seconds for v in learners) / 60
    if config.minutes and spent >= config.minutes:
        raise RunError(f"{path} has used its {config.minutes:g} minutes: name more --minutes")
    if not all(v.finished for v in learners):
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
