"""Train a group of runs: ``--seeds N`` and ``--grid KEY=A,B,C``, ``--jobs N`` at a time.

Each run is trained by a process of its own, so that its memory is freed and its failure is not that
of the group: the next one follows. Which runs are finished is read from their directories, so that
nothing but ``group.toml`` has to be kept to continue a group that was interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path

from tinygpt import hints
from tinygpt.command import group_jobs, group_results, portable
from tinygpt.command.options import USAGE
from tinygpt.command.results import DONE, FAILED
from tinygpt.command.streams import say
from tinygpt.data import sources
from tinygpt.errors import ConfigError, RunError, TinyGPTError
from tinygpt.fields import as_text, flag, whole_number
from tinygpt.files import atomic
from tinygpt.presets import PRESETS, Scalar
from tinygpt.run import RUN_TOML, new_run_name, read_config, read_state, validate_run_name
from tinygpt.run.group import (
    GROUP_TOML,
    Group,
    Member,
    hold_group,
    is_group,
    parse_grid,
    read_group,
    same_settings,
    write_group,
)
from tinygpt.tracking import names as trackers

MOST_JOBS = 1024
PLACE_SETTINGS = ("data", "device", "train.threads", "train.compile", "train.cuda_graph")
"""Settings that may differ when a group is continued, as its results are about the same."""


def is_asked_for(options: argparse.Namespace) -> bool:
    """Whether the options mean a group: a new one, or one to continue."""
    if any(hasattr(options, name) for name in ("seeds", "grid", "jobs")):
        return True
    name: str | None = getattr(options, "name", None)
    return hasattr(options, "resume") and bool(name) and is_group(Path(options.out, str(name)))


def command(options: argparse.Namespace) -> int:
    """Train the runs of a group; returns the exit status."""
    signals = group_jobs.Signals()
    try:
        trackers.check(options)
        if hasattr(options, "group"):
            raise ConfigError("--group is for a single run: --name names a group of runs")
        if hasattr(options, "after"):
            raise ConfigError("--after is for a single run: leave it out with --seeds and --grid")
        if not any(hasattr(options, name) for name in ("seeds", "grid", "resume")):
            raise ConfigError("--jobs is for a group of runs: use it with --seeds or --grid")
        if hasattr(options, "jobs"):
            whole_number(options.jobs, "--jobs", MOST_JOBS)
        with signals:
            if hasattr(options, "resume"):
                group, place = _continued(options)
            else:
                group, place = _begun(options), {}
            with hold_group(Path(options.out, group.name)):
                return _train_all(options, group, place, signals)
    except TinyGPTError as error:
        say(str(error))
        return USAGE


def _begun(options: argparse.Namespace) -> Group:
    """A new group, with its folder."""
    requested = portable.requested(options)
    grid = _portable_grid(parse_grid(getattr(options, "grid", [])))
    for key in grid:
        if key in vars(options):
            raise ConfigError(f"{flag(key)} and --grid {flag(key)[2:]} exclude each other")
        requested.pop(key, None)
    prefix = str(requested.get("preset", "group"))
    name: str | None = getattr(options, "name", None)
    name = new_run_name(options.out, prefix) if name is None else validate_run_name(name)
    group = Group(name=name, settings=requested, grid=grid, seeds=_seeds(options))
    for taken in (name, *(member.name for member in group.members)):
        if os.path.lexists(path := Path(options.out, taken)):
            raise RunError(f"{path} already exists: choose another --name, or use --resume")
    path = Path(options.out, name)
    try:
        atomic.make_folders(path)
    except OSError as error:
        raise RunError(f"cannot write {error.filename or path}: {error.strerror}") from error
    write_group(path, group, [os.path.basename(sys.argv[0]), *sys.argv[1:]])
    return group


def _continued(options: argparse.Namespace) -> tuple[Group, Mapping[str, Scalar]]:
    """A group that was interrupted, and the settings that are different from now on.

    The options that made it may be repeated; there may be more seeds.
    """
    name = getattr(options, "name", None)
    if name is None:
        raise ConfigError("--resume with --seeds or --grid needs the --name of the group")
    path = Path(options.out, validate_run_name(name))
    if not is_group(path):
        raise RunError(f"--resume: there is no group {name!r} in {options.out}")
    group, requested = read_group(path), portable.requested(options)
    place = {key: value for key, value in requested.items() if key in PLACE_SETTINGS}
    _refuse_another(group, requested.keys() - place.keys(), requested, options)
    seeds = _seeds(options)
    if seeds is not None and seeds != group.seeds:
        group = _with_seeds(group, seeds)
        write_group(path, group, [os.path.basename(sys.argv[0]), *sys.argv[1:]])
    for member in group.members:
        if (state := read_state(Path(options.out, member.name))).active:
            raise RunError(f"{member.name} is being trained ({state.reason}): wait for its end")
    return group, place


def _refuse_another(
    group: Group, keys: Set[str], requested: Mapping[str, Scalar], options: argparse.Namespace
) -> None:
    """Raises ConfigError for a setting or a grid that is not that of the group."""
    for key in sorted(keys):
        if not same_settings(group.settings, {**group.settings, key: requested[key]}):
            raise ConfigError(f"{flag(key)} is not that of the group {group.name}: leave it out")
    if hasattr(options, "grid"):
        grid = _portable_grid(parse_grid(options.grid))
        asked = Group(name=group.name, settings=group.settings, grid=grid, seeds=group.seeds)
        if asked.points != group.points:
            raise ConfigError(f"--grid is not that of the group {group.name}: leave it out")


def _with_seeds(group: Group, seeds: int) -> Group:
    if group.seeds is None or seeds < group.seeds:
        had = f"--seeds {group.seeds}" if group.seeds else "no --seeds"
        raise ConfigError(f"--seeds {seeds}: the group {group.name} has {had}, and may get more")
    return Group(name=group.name, settings=group.settings, grid=group.grid, seeds=seeds)


def _portable_grid(grid: dict[str, list[Scalar]]) -> dict[str, list[Scalar]]:
    return {
        name: [sources.absolute(str(value)) for value in values] if name == "data" else values
        for name, values in grid.items()
    }


def _seeds(options: argparse.Namespace) -> int | None:
    text = getattr(options, "seeds", None)
    return None if text is None else whole_number(text, "--seeds")


def _jobs(options: argparse.Namespace, gpus: Sequence[str]) -> int:
    """How many runs are trained at a time: by default one per GPU."""
    text = getattr(options, "jobs", None)
    return max(1, len(gpus)) if text is None else whole_number(text, "--jobs", MOST_JOBS)


def _train_all(
    options: argparse.Namespace,
    group: Group,
    place: Mapping[str, Scalar],
    signals: group_jobs.Signals,
) -> int:
    """Train those runs that are not finished, then print the results; returns the exit status."""
    out, members = Path(options.out), group.members
    gpus = group_jobs.cards(str({**group.settings, **place}.get("device", "auto")))
    gpus = [] if "device" in group.grid else gpus
    count = min(len(members), _jobs(options, gpus))

    def has_begun() -> bool:
        return any(os.path.lexists(out / member.name / RUN_TOML) for member in members)

    jobs = _unfinished(options, group, place, signals)
    for status in group_jobs.train_all(jobs, count, gpus, signals, has_begun):
        if status == USAGE and not any(os.path.lexists(out / m.name) for m in members):
            _forget(out / group.name)  # a mistake in the settings, and nothing was trained
            return USAGE
    results = group_results.read(out, group)
    printed = group_results.write(results, as_json=hasattr(options, "json"))
    if signals.signal:
        command = hints.resume_headless(out / group.name)
        say(f"{group.name}: stopped ({signals.signal_name()}); continue with: {command}")
        return 128 + signals.signal
    return DONE if printed and not results.unfinished else FAILED


def _unfinished(
    options: argparse.Namespace,
    group: Group,
    place: Mapping[str, Scalar],
    signals: group_jobs.Signals,
) -> Iterator[group_jobs.Job]:
    """The runs to train, until a signal arrives; says when one is taken, or is done already."""
    out, tracked = Path(options.out), [*trackers.as_options(options)]
    for number, member in enumerate(group.members, 1):
        if signals.signal:
            return
        title = f"{group.name}: run {number} of {len(group.members)}: {member.name}"
        if read_state(out / member.name).state == "done":
            say(f"{title} is done already")
            continue
        say(f"{title} ({_description(member)})")
        yield group_jobs.Job(member.name, [*_arguments(out, group, member, place), *tracked])


def _description(member: Member) -> str:
    point = [f"{flag(name)[2:]} {as_text(value)}" for name, value in member.point.items()]
    return ", ".join([*point, f"seed {member.seed}"])


def _arguments(
    out: Path, group: Group, member: Member, place: Mapping[str, Scalar]
) -> Iterator[str]:
    """The options of the process that trains a run, or resumes it."""
    yield from ("--json", f"--name={member.name}", f"--out={out}")
    values = place
    if os.path.lexists(out / member.name / RUN_TOML):
        yield "--resume"
    else:
        yield f"--group={group.name}"
        auto = {} if "data" in place else _chosen_before(out, group)
        values = {**auto, **group.settings, **place, **member.point, "seed": member.seed}
    yield from portable.as_options(values)


def _chosen_before(out: Path, group: Group) -> dict[str, Scalar]:
    """The preset and the corpus that the first run of the group chose, where that was left to it:
    the others would choose differently on another machine, or without the network."""
    from tinygpt.data.corpus import KNOWN  # noqa: PLC0415 - not for --help

    for member in group.members:
        with suppress(RunError):
            stored = read_config(out / member.name)
            corpus = stored.get("corpus")
            name = corpus.get("name") if isinstance(corpus, Mapping) else None
            data = {"data": name} if stored.get("data") == "auto" and name in KNOWN else {}
            preset = stored.get("preset")
            return {**data, **({"preset": preset} if preset in PRESETS else {})}
    return {}


def _forget(path: Path) -> None:
    """Remove the folder of a group without runs, which frees its name."""
    with suppress(OSError):
        (path / GROUP_TOML).unlink()
        path.rmdir()
