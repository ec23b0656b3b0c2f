"""The results of a group of runs: means over seeds, as a table and as the object of ``--json``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinygpt.command.results import OutputError, print_json, print_text
from tinygpt.command.streams import safe, say
from tinygpt.errors import RunError
from tinygpt.fields import as_text, flag
from tinygpt.run import VARIANTS, RunState, read_config, read_state
from tinygpt.run.group import Group
from tinygpt.run.reader import last_end
from tinygpt.run.spread import Spread, spread

NUMBERS = (
    *("val_loss", "best_val_loss", "bits_per_byte", "nats_per_char", "perplexity"),
    *("train_seconds", "tokens_per_second"),
)
"""The results of a variant that the summary has the mean and the standard deviation of."""


@dataclass(frozen=True, slots=True)
class Results:
    """What the runs of a group came to."""

    group: str
    points: list[Mapping[str, Any]]
    """The settings of the grid; one empty point without a grid."""
    runs: list[dict[str, Any]] = field(default_factory=list)
    """The ordinary objects of the runs that are done, with their `seed` and `settings`."""
    unfinished: dict[str, str] = field(default_factory=dict)
    """Why the others are not done, by name."""


def read(out: Path, group: Group) -> Results:
    """The results of the runs of a group, from their directories in `out`."""
    results = Results(group.name, [*group.points])
    for member in group.members:
        path = out / member.name
        state, end = read_state(path), last_end(path)
        if state.state != "done" or end is None:
            results.unfinished[member.name] = _why(state) if os.path.exists(path) else "not started"
            continue
        results.runs.append(
            {
                "run": str(path),
                "corpus": _corpus(path),
                "models": dict(end.models),
                "seed": member.seed,
                "settings": dict(member.point),
            }
        )
    return results


def _why(state: RunState) -> str:
    told = state.reason.startswith(state.state)  # "stopped at step 2"
    return state.reason if told else f"{state.state}: {state.reason}"


def _corpus(path: Path) -> dict[str, Any]:
    try:
        stored = read_config(path).get("corpus")
    except RunError:
        stored = None
    known = stored if isinstance(stored, Mapping) else {}
    return {name: known.get(name) for name in ("name", "sha256", "chars")}


def write(results: Results, *, as_json: bool) -> bool:
    """Print the table, to stderr with the JSON on stdout, or else to stdout; and on stderr what is
    not done. Returns whether stdout accepted it."""
    try:
        if as_json:
            safe(sys.stderr).write(_table(results, sys.stderr))
            print_json(report(results))
        else:
            print_text(_table(results, sys.stdout))
    except OutputError as error:
        say(f"{error}; --resume --name {results.group} prints them again")
        return False
    except BrokenPipeError:
        pass
    for name, why in results.unfinished.items():
        say(f"{name}: {why}")
    if len({str(run["corpus"]["sha256"]) for run in results.runs}) > 1:
        say("warning: the runs have different corpora, so that their losses do not compare")
    return True


def report(results: Results) -> dict[str, Any]:
    """The object of ``--json``."""
    return {
        "group": results.group,
        "runs": results.runs,
        "unfinished": results.unfinished,
        "summary": summary(results),
    }


def summary(results: Results) -> list[dict[str, Any]]:
    """Per point of the grid, its settings, its seeds, and for each variant the mean and the sample
    standard deviation of its `NUMBERS` over the runs that are done, with their count."""
    points = []
    for point in results.points:
        runs = [run for run in results.runs if run["settings"] == point]
        variants = [v for v in VARIANTS if any(v in run["models"] for run in runs)]
        models = {
            v: _means([run["models"][v] for run in runs if v in run["models"]]) for v in variants
        }
        points.append(
            {"settings": dict(point), "seeds": [run["seed"] for run in runs], "models": models}
        )
    return points


def _means(models: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: spread([model.get(name) for model in models])._asdict() for name in NUMBERS}


def _table(results: Results, file: Any) -> str:
    """The title and aligned lines of text, with bold headings if `file` shows them."""
    from tinygpt.command.table import aligned  # noqa: PLC0415 - rich

    count = len(results.runs) + len(results.unfinished)
    title = f"{results.group}: {len(results.runs)} of {count} runs are done"
    if not results.runs:
        return f"{title}\n"
    rows = table(results)
    over = "; mean ± standard deviation over seeds" if any("±" in row[-1] for row in rows) else ""
    return f"{title}{over}\n" + aligned(rows, file, left=rows[0].index("runs"))


def table(results: Results) -> list[list[str]]:
    """Rows of text, headings first: one per point of the grid and variant."""
    names = list(results.points[0])
    rows = [[*map(_title, names), "model", "runs", "val loss", "best val loss"]]
    for point in summary(results):
        settings = [as_text(point["settings"][name]) for name in names]
        count = str(len(point["seeds"]))
        for variant, numbers in point["models"].items():
            cells = [Spread(**numbers[name]).text() for name in ("val_loss", "best_val_loss")]
            rows.append([*settings, variant, count, *cells])
        if not point["models"]:
            rows.append([*settings, "-", count, "-", "-"])
    return rows


def _title(name: str) -> str:
    """A setting as it is written on the command line, without its group."""
    return flag(name.rpartition(".")[2])[2:]
