"""Groups of runs: the same training with several seeds, and over a grid of settings.

A group is a folder beside its runs with nothing in it but ``group.toml``: what was asked for, from
which its runs follow, so that a group that was interrupted can be continued. Its runs are ordinary
ones, with the group's name in their ``run.toml``.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import tomli_w

from tinygpt.config import ALIASES, build, dotted_fields, flatten, from_tables, unflatten
from tinygpt.errors import ConfigError, RunError, TinyGPTError
from tinygpt.fields import as_text, convert, flag, nearest
from tinygpt.files import atomic
from tinygpt.files.folder_lock import sole_holder
from tinygpt.files.safe_open import read_toml
from tinygpt.presets import Scalar
from tinygpt.run.layout import StrPath, validate_run_name
from tinygpt.run.status import read_state

GROUP_TOML = "group.toml"
MOST_RUNS = 10_000
_PLAIN = re.compile(r"[a-z0-9.+-]{1,16}", re.ASCII)
"""Values that can be part of a run's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One run of a group; `point` holds the settings of the grid by dotted name."""

    name: str
    seed: int
    point: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What was asked for: `settings` of all runs and `grid` by dotted name, and how many `seeds`
    from the setting ``seed`` on, None if that was not said.

    Raises:
        ConfigError: a setting or a value is not valid, or there are too many runs.
        RunError: a name is not valid.
    """

    name: str
    settings: Mapping[str, Scalar]
    grid: Mapping[str, Sequence[Scalar]]
    seeds: int | None = None

    def __post_init__(self) -> None:
        known, grid = dict(dotted_fields()), {}
        build(_with_preset(self.settings))
        for name, values in self.grid.items():
            if name == "seed":
                raise ConfigError("--grid seed is not possible: --seeds N takes N seeds")
            grid[name] = [convert(known[name], value, name) for value in values]
            if len(set(grid[name])) < len(values) or not values:
                raise ConfigError(f"--grid {flag(name)[2:]} needs values, each of them once")
        object.__setattr__(self, "grid", grid)
        if self.seeds is not None and self.seeds < 1:
            raise ConfigError(f"--seeds {self.seeds} is out of range: it must be at least 1")
        count = len(self.points) * (self.seeds or 1)
        if count > MOST_RUNS:
            raise ConfigError(f"--seeds and --grid make {count:,} runs: {MOST_RUNS:,} are possible")
        for member in self.members:
            validate_run_name(member.name)
            build(_with_preset({**self.settings, **member.point, "seed": member.seed}))

    @property
    def points(self) -> list[dict[str, Scalar]]:
        """The product of the grid; one empty point without a grid."""
        return [
            dict(zip(self.grid, values, strict=True))
            for values in itertools.product(*self.grid.values())
        ]

    @property
    def members(self) -> list[Member]:
        """The runs in the order in which they are trained: all points with one seed, then with the
        next one. More seeds come after those that there were."""
        first = build(_with_preset(self.settings)).seed
        labels = {name: _labels(name, self.grid) for name in self.grid}
        members = []
        for seed in range(first, first + (self.seeds or 1)):
            for point in self.points:
                parts = [labels[name][value] for name, value in point.items()]
                parts += [] if self.seeds is None else [f"s{seed}"]
                name = "-".join([self.name, *parts])
                members.append(Member(name=name, seed=seed, point=point))
        return members


def same_settings(one: Mapping[str, Scalar], other: Mapping[str, Scalar]) -> bool:
    """Whether settings by dotted name mean the same run."""
    return flatten(build(_with_preset(one))) == flatten(build(_with_preset(other)))


def parse_grid(texts: Sequence[str]) -> dict[str, list[Scalar]]:
    """The values of ``--grid KEY=A,B,C``, by dotted name.

    Raises:
        ConfigError: a text is not of this form, or names no setting or one twice.
    """
    known, grid = dict(dotted_fields()), dict[str, list[Scalar]]()
    for text in texts:
        key, equals, values = text.partition("=")
        found = [value.strip() for value in values.split(",")]
        if not equals or not all(found):
            raise ConfigError(
                f"--grid {text!r} is not valid: write KEY=A,B,C, for example "
                "optim.matrix-learning-rate=0.01,0.02"
            )
        name = key.strip().removeprefix("--").replace("-", "_")
        name = ALIASES.get(name, name)
        if name not in known:
            raise ConfigError(f"--grid {text}: unknown setting {name!r}{nearest(name, known)}")
        if name in grid:
            raise ConfigError(f"--grid {key} is given twice: write all its values in one")
        grid[name] = [*found]
    return grid


def is_group(path: StrPath) -> bool:
    """Whether a folder is that of a group."""
    return os.path.isfile(Path(path, GROUP_TOML))


@contextmanager
def hold_group(path: StrPath) -> Iterator[None]:
    """In the with-block, no other process trains the group of the folder `path`, as far as the disk
    has locks. Raises RunError if one does."""
    with sole_holder(path) as alone:
        if not alone:
            raise RunError(f"another process is training the group {path}")
        yield


def is_group_trained(path: StrPath) -> bool:
    """Whether the group of the folder `path` goes on: a process trains its runs, maybe between two
    of them, or one of them outlived that process. Never raises."""
    try:
        with sole_holder(path) as alone:
            if not alone:
                return True
        members = read_group(path).members
    except (OSError, RunError):  # deleted, or no group
        return False
    return any(read_state(Path(path).parent / member.name).active for member in members)


def write_group(path: StrPath, group: Group, argv: Sequence[str]) -> None:
    """Write the group.toml of the folder `path`. Raises RunError if that is impossible."""
    tables = {
        "name": group.name,
        **({} if group.seeds is None else {"seeds": group.seeds}),
        "command": shlex.join(argv).encode(errors="backslashreplace").decode(),
        "settings": unflatten(dict(group.settings)),
        "grid": unflatten({name: [*values] for name, values in group.grid.items()}),  # type: ignore[misc]
    }
    try:
        atomic.write_text(Path(path, GROUP_TOML), tomli_w.dumps(tables))
    except OSError as error:
        raise RunError(f"cannot write {Path(path, GROUP_TOML)}: {error.strerror}") from error


def read_group(path: StrPath) -> Group:
    """The group of the folder `path`. Raises RunError if its group.toml cannot be used."""
    file = Path(path, GROUP_TOML)
    try:
        tables: dict[str, Any] = read_toml(file)
        return Group(
            name=str(tables["name"]),
            settings=from_tables(tables["settings"]),  # type: ignore[arg-type]
            grid=from_tables(tables["grid"]),  # type: ignore[arg-type]
            seeds=tables.get("seeds"),
        )
    except OSError as error:
        raise RunError(f"cannot read {file}: {error.strerror}") from error
    except TinyGPTError as error:
        raise RunError(f"{file}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{file} is not that of a group: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run stands in a group; runs with equal places differ in their seed alone."""

    group: str
    setting: str
    """What its runs are called, without their seed: "g-mlr0.01", or "g" without a grid."""


def place_of(run: StrPath, config: Mapping[str, Any]) -> Place | None:
    """The place of the run directory `run`, whose run.toml is `config`, in its group.

    It follows from its settings, so that a run that was renamed keeps it. None for a run without a
    group, and for one whose group was deleted.
    """
    name = config.get("group")
    if not isinstance(name, str) or os.path.basename(name) != name:
        return None
    path = Path(run).parent / name
    try:
        group = _known_group(path, os.stat(path / GROUP_TOML).st_mtime_ns)
        values = from_tables(config)
        labels = [_labels(key, group.grid)[values[key]] for key in group.grid]  # type: ignore[index]
    except (OSError, ValueError, TinyGPTError, LookupError, TypeError):
        return None
    return Place(name, "-".join([name, *labels]))


@lru_cache(maxsize=64)
def _known_group(path: Path, changed: int) -> Group:  # noqa: ARG001 - for the cache
    return read_group(path)


def _with_preset(settings: Mapping[str, Any]) -> dict[str, Any]:
    """With a preset to check the other settings with, as "auto" depends on the device."""
    auto = settings.get("preset", "auto") == "auto"
    return {**settings, "preset": "nano"} if auto else dict(settings)


def _labels(name: str, grid: Mapping[str, Sequence[Scalar]]) -> dict[Scalar, str]:
    """What stands for each value of a setting in the names of runs: "lr0.01" for a learning rate,
    or its place among the values where these cannot be part of a name."""
    texts = [as_text(value) for value in grid[name]]
    plain = all(_PLAIN.fullmatch(text) for text in texts)
    return {
        value: short_name(name) + (text if plain else f"-{place}")
        for place, (value, text) in enumerate(zip(grid[name], texts, strict=True), 1)
    }


def short_name(name: str) -> str:
    """A setting in the name of a run: "mlr" for optim.matrix_learning_rate, "width"; no two
    settings have the same."""
    if name == "vocab_size":  # "vs" is the share for validation
        return "vocab"
    words = name.rpartition(".")[2].split("_")
    return words[0] if len(words) == 1 else "".join(word[0] for word in words)
