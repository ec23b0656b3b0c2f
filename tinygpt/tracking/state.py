"""``<run>/<tracker>/tracking.json``: what of a run a tracker has, so that it continues there.

Whoever deletes that folder starts over with this tracker.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tinygpt.errors import RunError
from tinygpt.files import atomic
from tinygpt.files.safe_open import read_text
from tinygpt.run.layout import VARIANTS
from tinygpt.run.lines import LARGEST
from tinygpt.tracking.names import known

TRACKING = "tracking.json"
LOG = "tracking.log"
LARGEST_STATE = 1 << 16
"""Bytes of the largest file that is read: a thousand times the usual size."""

_ID = re.compile(r"[0-9a-f]{12}")


@dataclass(slots=True, kw_only=True)
class TrackingState:
    """What a tracker has; `sent` and `ids` by variant."""

    sent: dict[str, int] = field(default_factory=dict)
    """The last step that was sent."""
    ids: dict[str, str] = field(default_factory=dict)
    live: bool = False
    """Whether it follows the training, also after a resume that does not say so."""
    model: bool = False
    """Whether it gets the best model at the end."""
    finished: bool = False
    """Whether the tracker was told of the end of the run."""
    problem: str = ""
    """Why the last attempt ended early."""

    def id(self, variant: str) -> str:
        """The id of a variant's tracked run, a new one the first time."""
        return self.ids.setdefault(variant, secrets.token_hex(6))


def make_folder(run: Path, name: str) -> Path:
    """The folder of a tracker in a run, which is created.

    Raises:
        RunError: it is a link, by which a foreign run would say where to write.
        OSError: it cannot be created.
    """
    folder = run / name
    if os.path.islink(folder):
        raise RunError(f"{folder} is a link: remove it")
    folder.mkdir(exist_ok=True)
    return folder


def read_tracking(folder: Path) -> TrackingState:
    """The state in a tracker's folder; a new one if there is none.

    Raises:
        RunError: it cannot be read, or is damaged.
    """
    file = folder / TRACKING
    try:
        return _parse(json.loads(read_text(file, LARGEST_STATE)))
    except FileNotFoundError:
        return TrackingState()
    except OSError as error:
        raise RunError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RunError(f"{file} is damaged: delete it to send the whole run again") from error


def write_tracking(folder: Path, state: TrackingState) -> None:
    """Replace the state in a tracker's folder. Raises OSError."""
    atomic.write_json(folder / TRACKING, asdict(state), durable=False)


def note_problem(folder: Path, problem: str) -> None:
    """Note down why a tracker's process has ended, if that is possible."""
    with suppress(OSError, RunError):
        state = read_tracking(folder)
        state.problem = problem
        write_tracking(folder, state)


def trackings(run: Path) -> dict[str, TrackingState]:
    """The trackers that a run was sent to, as far as that can be read."""
    found = {}
    for name in known():
        if os.path.isfile(run / name / TRACKING):
            with suppress(RunError):
                found[name] = read_tracking(run / name)
    return found


def followed_by(run: Path) -> list[str]:
    """The trackers that a resumed run continues to send to."""
    return [name for name, state in trackings(run).items() if state.live]


def in_words(run: Path) -> str:
    """Where a run was sent, and what went wrong."""
    states = trackings(run).items()
    return ", ".join(f"{n} (stopped: {s.problem})" if s.problem else n for n, s in states)


def _parse(data: Any) -> TrackingState:
    sent = {v: data["sent"][v] for v in VARIANTS if v in data["sent"]}
    ids = {v: data["ids"][v] for v in VARIANTS if v in data["ids"]}
    if any(type(step) is not int or not -1 <= step < LARGEST for step in sent.values()):
        raise ValueError("not a step")
    if any(not _ID.fullmatch(id) for id in ids.values()):
        raise ValueError("not an id")
    flags = {name: data[name] for name in ("live", "model", "finished")}
    if any(type(flag) is not bool for flag in flags.values()):
        raise ValueError("not true or false")
    problem = data["problem"]
    if type(problem) is not str:
        raise TypeError("not text")
    return TrackingState(sent=sent, ids=ids, problem=problem, **flags)
