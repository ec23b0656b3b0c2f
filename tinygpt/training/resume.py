"""Resume a run: each variant exactly as it was at its newest intact checkpoint.

The order of the steps matters, as another trainer may have the run and a resume may be refused.
First everything is read and checked, without changing the run. Then the writer takes the run's
lock, and the checkpoints are listed again, in case another trainer has just written some. Only then
are checkpoints newer than the resumed ones deleted, and a resume record written.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinygpt.checkpoint import newest_resumable
from tinygpt.config import END_SETTINGS, RunConfig, build, dotted_fields, flatten, from_tables
from tinygpt.data.corpus import KNOWN, Corpus
from tinygpt.data.encoding import Encoded, encode
from tinygpt.data.run_corpus import find_run_corpus
from tinygpt.data.scan import Report, silent
from tinygpt.data.splits import check_length
from tinygpt.data.tokenizer import Tokenizer
from tinygpt.data.tokenizer_file import load_tokenizer
from tinygpt.device import DeviceError
from tinygpt.errors import CheckpointError, ConfigError, RunError
from tinygpt.fields import SettingError, flag
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
)
from tinygpt.run.layout import RUN_TOML, TOKENIZER, read_config
from tinygpt.run.reader import evaluations
from tinygpt.run.settings import read_stored
from tinygpt.training.disk_plan import plan
from tinygpt.training.followers import follow, tell
from tinygpt.training.initial_weights import load_initial
from tinygpt.training.learner import Learner
from tinygpt.training.rewarming import rewarm
from tinygpt.training.run_end import refuse_reached_end
from tinygpt.training.session import (
    Session,
    assemble,
    check_prompt,
    choose_devices,
    closed_on_failure,
    make_learners,
    start_record,
    versions,
)
from tinygpt.world import ALONE, World

MAY_CHANGE = frozenset(
    {
        *(*END_SETTINGS, "data", "val_data", "device"),
        *("train.threads", "train.compile", "train.cuda_graph", "train.recompute"),
        *("train.disk_budget", "train.hang_after"),
    }
)
"""Settings that a resume may change. The corpus may have moved, but its sha256 must be the same."""


def resume(
    path: Path, requested: Mapping[str, object], report: Report = silent, world: World = ALONE
) -> Session:
    """Resume a run from the newest intact checkpoint of each variant.

    `requested` holds settings by dotted name; those in `MAY_CHANGE` may differ from run.toml.
    `report` is called while a large text is encoded. Of the processes of `world`, of which there
    may be more or fewer than before, the first one reads the run and tells the others.

    Raises:
        TinyGPTError: there is nothing to resume, another process is training the run, or the
            configuration or the corpus is not the run's.
    """
    if not world.first:
        return follow(world, report)
    stored, warmed_from, _ = read_stored(path)
    config = resumed_config(stored, requested, path)
    corpus, place = _corpus(stored, requested, path)
    corpora = [corpus, *_validation(config, stored, requested, path)]
    tokenizer = load_tokenizer(path / TOKENIZER)
    check_length(corpus.characters, config.gpt.context, config.shares)
    check_prompt(config, tokenizer)
    devices = _devices(config, requested, path, world)
    before = {variant: list_steps(path, variant) for variant in config.variants}
    learners, notes = _restored(config, path, tokenizer, devices, world)
    refuse_reached_end(config, stored, learners, path)
    kept = plan(config, learners)
    warm_from = rewarm(learners, _known_config(stored) or config, warmed_from)
    first = _resume_record(config, learners, notes, place, warm_from)
    encoded = encode(tokenizer, corpora, config.shares, report)
    writer = RunWriter.open(path, step=first.step)
    with closed_on_failure(writer):
        tell(
            world,
            path,
            config=config,
            corpora=corpora,
            tokenizer=tokenizer,
            learners=learners,
            first=first,
        )
        if {v: list_steps(path, v) for v in config.variants} != before:
            raise RunError(f"{path} was trained by another process just now: try again")
        if writer.empty:
            writer.append(_missing_start_record(config, path, stored, learners, encoded))
        _remove_later(path, first.models)
        return assemble(
            writer,
            config,
            first,
            corpus=corpus,
            encoded=encoded,
            learners=learners,
            kept=kept,
            notes=notes,
            world=world,
        )


def _resume_record(
    config: RunConfig,
    learners: Sequence[Learner],
    notes: Sequence[str],
    data: str | None,
    warm_from: Mapping[str, int],
) -> ResumeRecord:
    models = {v.variant: v.progress.step for v in learners}
    return ResumeRecord(
        time=time.time(),
        step=min(models.values()),
        models=models,
        note="; ".join(notes) or None,
        ends={name: end for name in END_SETTINGS if (end := getattr(config, name))},
        data=data,
        warm_from=warm_from or None,
        processes=learners[0].world.size if learners[0].world.size > 1 else None,
    )


def _missing_start_record(
    config: RunConfig,
    path: Path,
    stored: Mapping[str, Any],
    learners: Sequence[Learner],
    encoded: Encoded,
) -> StartRecord:
    """The start record of a run that was killed before it wrote one."""
    described = {"versions": versions(), **{k: _without_dates(v) for k, v in stored.items()}}
    return start_record(config, path.name, described, learners, encoded)


def _initial_steps(path: Path) -> dict[str, int]:
    """From which checkpoint of another run each variant started, as run.toml has it."""
    found = read_config(path).get("init_steps")
    steps = found if isinstance(found, Mapping) else {}
    return {variant: step for variant, step in steps.items() if type(step) is int}


def _without_dates(value: Any) -> Any:
    """Values of an edited run.toml that a record can hold: no dates, no lists."""
    if isinstance(value, Mapping):
        return {key: kept for key, v in value.items() if (kept := _without_dates(v)) is not None}
    return value if isinstance(value, str | int | float | bool) else None


def resumed_config(
    stored: Mapping[str, Any], requested: Mapping[str, object], path: Path
) -> RunConfig:
    """The stored configuration with the requested changes.

    Raises:
        RunError: run.toml has a value that is not valid; names its key.
        ConfigError: a setting that must not change differs; it names the flag and both values.
    """
    known = dict(dotted_fields())
    kept = {name: value for name, value in from_tables(stored).items() if name in known}
    if requested.keys() & {"steps", "minutes"}:  # a new end replaces the old one
        kept = {name: value for name, value in kept.items() if name not in ("steps", "minutes")}
    try:
        build(kept, preset_applies=False)
    except SettingError as error:
        raise RunError(f"{path / RUN_TOML}: {error.naming(str)}") from error
    new = {name: value for name, value in requested.items() if name in MAY_CHANGE}
    config = build({**kept, **new}, preset_applies=False)
    was = flatten(config)
    now = flatten(build({**kept, **requested}, preset_applies=False))
    for name in requested:
        if name not in MAY_CHANGE and now.get(name) != was.get(name):
            raise ConfigError(
                f"{flag(name)} is {now.get(name)!r}, but {path} was started with "
                f"{was.get(name)!r}: leave it out to resume, or start a new run"
            )
    return config


def _known_config(stored: Mapping[str, Any]) -> RunConfig | None:
    """The stored configuration as it was until now; None if an end that is replaced is not
    valid."""
    known = dict(dotted_fields())
    values = {name: value for name, value in from_tables(stored).items() if name in known}
    try:
        return build(values, preset_applies=False)
    except ConfigError:
        return None


def _restored(
    config: RunConfig,
    path: Path,
    tokenizer: Tokenizer,
    devices: Mapping[str, str],
    world: World,
) -> tuple[list[Learner], list[str]]:
    """Each variant at its newest intact checkpoint, and notes on newer ones that are damaged."""
    learners, notes = make_learners(config, tokenizer, devices, world), []
    reported, evaluated = _with_checkpoints(path), evaluations(path)
    for variant, learner in zip(config.variants, learners, strict=True):
        if variant not in reported:
            notes.append(f"{variant} had no checkpoint yet: it starts over")
            load_initial(config, [learner], _initial_steps(path))
            continue
        try:
            snapshot, problems = newest_resumable(path, variant, learner.restore)
        except CheckpointError as error:
            raise RunError(f"there is nothing to resume in {path}: {error}") from error
        if not learner.on_target:  # this session's target may be lower than the last one's
            learner.progress.seconds_to_target = None
        known = evaluated.get(variant, [])
        learner.evaluations = [record for record in known if record.step <= snapshot.step]
        folder = checkpoint_dir(path, variant, snapshot.step)
        notes += [f"{problem}; resuming from {folder.name} instead" for problem in problems]
    return learners, notes


def _with_checkpoints(path: Path) -> set[str]:
    """The variants that have a checkpoint or had one. A variant that never had one was killed in
    its first seconds, and loses nothing by starting over."""
    on_disk = {v for v in VARIANTS if list_steps(path, v)}
    if len(on_disk) == len(VARIANTS):  # saves reading all records a second time
        return on_disk
    items = MetricsReader(path).read_all()
    return on_disk | {item.model for item in items if isinstance(item, CheckpointRecord)}


def _remove_later(path: Path, models: Mapping[str, int]) -> None:
    """Delete checkpoints after the resumed steps: they are damaged, or will be trained again."""
    for variant, step in models.items():
        for later in list_steps(path, variant):
            if later > step:
                atomic.remove_directory(checkpoint_dir(path, variant, later))


def _validation(
    config: RunConfig, stored: Mapping[str, Any], requested: Mapping[str, object], path: Path
) -> list[Corpus]:
    """The text for validation, if that is another."""
    if config.val_data is None:
        return []
    named = str(requested["val_data"]) if "val_data" in requested else None
    return [find_run_corpus(path, stored, named, validation=True)]


def _corpus(
    stored: Mapping[str, Any], requested: Mapping[str, object], path: Path
) -> tuple[Corpus, str | None]:
    """The corpus of the run, and its place if that is to be recorded."""
    named = str(requested["data"]) if "data" in requested else None
    if named == stored.get("data"):
        named = None
    corpus = find_run_corpus(path, stored, named)
    recorded = stored.get("corpus")
    known = (stored.get("data"), recorded.get("path") if isinstance(recorded, Mapping) else None)
    by_name = named is None and stored.get("data") in ("auto", *KNOWN)
    return corpus, None if by_name or corpus.path in known else corpus.path


def _devices(
    config: RunConfig, requested: Mapping[str, object], path: Path, world: World
) -> dict[str, str]:
    """The device of each variant; ConfigError if this machine lacks it."""
    try:
        return choose_devices(config, world)
    except DeviceError as error:
        if "device" in requested:
            raise
        raise ConfigError(
            f"{path} was started with --device {config.device}, which is not available here"
            f"{error.why}: resume it with --device {error.use[0]}"
        ) from error
