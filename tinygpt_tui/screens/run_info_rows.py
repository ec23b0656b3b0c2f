"""The pages about one run as rows of cells: its settings, its log, its files and its note."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Literal

from rich.cells import cell_len, chop_cells

from tinygpt import formatting
from tinygpt.command.options import GROUPS
from tinygpt.config import dotted_fields
from tinygpt.escape import printable
from tinygpt.retention import RESUMABLE
from tinygpt.run.disk import CheckpointSize
from tinygpt_tui.monitor.run_info import RunFacts
from tinygpt_tui.monitor.run_settings import BY_RECIPE, RunSetting, run_settings
from tinygpt_tui.render.cells import Row, Span, fit, row, width
from tinygpt_tui.render.run_state import LOOKS
from tinygpt_tui.render.table import Column, table
from tinygpt_tui.screens.compare_table import setting_text
from tinygpt_tui.theme import NAMES

Page = Literal["settings", "log", "disk", "note"]
PAGES: tuple[Page, ...] = ("settings", "log", "disk", "note")
NAME, VALUE = 27, 14
"""Cells of a setting's name and value at least."""
FACT = 12
"""Cells of the names of the facts about a run."""
_HELP = {name: str(known.metadata["help"]) for name, known in dotted_fields()}
_FILES = (Column("", 20), Column("size", 9, "right"), Column("", 40, priority=1))
_CHECKPOINTS = (
    Column("", 6),
    Column("step", 9, "right"),
    Column("size", 9, "right"),
    Column("to resume", 9, "right", 1),
    Column("val loss", 8, "right"),
    Column("kept as", 24, priority=2),
)
_CONTENT = {
    "metrics.jsonl": "all losses, evaluations and samples",
    "train.log": "what the trainer printed",
    "tokenizer.json": "the vocabulary",
    "run.toml": "the settings",
    "status.json": "the state of the trainer",
    "note.md": "your note",
}


def tabs(page: Page, facts: RunFacts, columns: int) -> Row:
    """The names of the pages, and the state of the run at the right."""
    titles: list[Span | str] = [" "]
    for name in PAGES:
        titles += [Span(f" {name.capitalize()} ", "reverse bold" if name == page else "muted"), " "]
    look = LOOKS[facts.state.state] if facts.state else None
    state = [Span(f"{look.glyph} {look.word} ", look.style)] if look else []
    left = fit(row(*titles), columns - sum(len(span.text) for span in state))
    return fit(row(*left, *state), columns)


def page_rows(page: Page, facts: RunFacts, columns: int) -> list[Row]:
    """All rows of a page, each `columns` wide."""
    draw = {
        "settings": settings_rows,
        "log": log_rows,
        "disk": disk_rows,
        "note": note_rows,
    }[page]
    problem = [row(Span(f" {printable(facts.problem)}", "bad"))] if facts.problem else []
    return [fit(cells, columns) for cells in (*problem, *draw(facts, columns))]


# -- settings


def settings_rows(facts: RunFacts, columns: int) -> list[Row]:
    """How the run was started, what differs from its preset, and all settings by group."""
    rows = list(_facts(facts, columns))
    settings = run_settings(facts.tables) if facts.tables else []
    if not settings:
        return rows
    preset = str(facts.tables.get("preset", "nano"))
    different = [s for s in settings if s.differs and s.name != "preset"]
    count = f"{len(different)} of {len(settings)} settings differ from the preset "
    rows += [(), row(Span(f" {count}", "accent"), Span(printable(preset), "accent"))]
    rows += [_setting(s, s.name, preset, columns) for s in different]
    for table_name, group in groupby(settings, key=lambda s: s.name.rpartition(".")[0]):
        title = GROUPS.get(table_name, table_name).capitalize()
        rows += [(), row(Span(f" {printable(title)}", "accent"))]
        rows += [_setting(s, s.name.rpartition(".")[2], preset, columns) for s in group]
    return rows


def _facts(facts: RunFacts, columns: int) -> Iterator[Row]:
    tables = facts.tables
    corpus, versions, argv = (tables.get(key) for key in ("corpus", "versions", "argv"))
    begun = str(tables.get("begun", "")).replace("T", " ")
    made_with = versions.items() if isinstance(versions, Mapping) else ()
    corpus = corpus if isinstance(corpus, Mapping) else {}
    sha = str(corpus.get("sha256", ""))[:12]
    texts = {
        "state": facts.state.reason if facts.state else "",
        "begun": begun[:16],
        "trained on": facts.device,
        "corpus": f"{corpus.get('name', '')}, sha256 {sha}" if sha else "",
        "group": str(tables.get("group", "")),
        "sent to": facts.trackers,
        "versions": ", ".join(f"{name} {version}" for name, version in made_with),
        "command": _command(argv) if isinstance(argv, list) else "",
    }
    for name, text in texts.items():
        if not text:
            continue
        for index, part in enumerate(_words(printable(text), columns - FACT - 3)):
            label = name if index == 0 else ""
            yield row(Span(f" {label:<{FACT}}", "muted"), Span(part, "text"))


def _command(argv: Sequence[object]) -> str:
    """The command as it can be typed; a run that the app started has the name of a module."""
    words = [str(word) for word in argv]
    return shlex.join(
        ["tinygpt-tui" if words[:1] == ["__main__.py"] else w for w in words[:1]] + words[1:]
    )


def _setting(setting: RunSetting, name: str, preset: str, columns: int) -> Row:
    """A setting: its name, its value, and what the preset has or, where that is the same, what it
    means."""
    help_text = _HELP.get(setting.name, "unknown to this version")
    if setting.by_recipe:
        beside, style = f"chosen by the recipe, for {BY_RECIPE[setting.name]}", "muted"
    elif setting.differs:
        default = "automatic" if setting.default is None else setting_text(setting.default)
        beside, style = f"{preset}: {default}", "warn"
    else:
        beside, style = help_text, "faint"
    value = Span(setting_text(setting.value), "strong" if setting.differs else "text")
    size = NAME + (columns - 80) // 4 if columns > 80 else NAME
    cells = row(
        *fit(row(Span(f"   {printable(name)}", "muted")), size),
        *_padded(value, VALUE),
        "  ",
        Span(printable(beside), style),
    )
    return _cut(cells, columns)


def _cut(cells: Row, columns: int) -> Row:
    """A row of at most `columns` cells, with a mark where it is cut."""
    if width(cells) <= columns:
        return cells
    return row(*fit(cells, columns - 1), Span("…", cells[-1].style))


def _padded(span: Span, size: int) -> Row:
    return (Span(f"{span.text:<{size}}", span.style),)


# -- log


def log_rows(facts: RunFacts, columns: int) -> list[Row]:
    """The end of the log; long lines are wrapped."""
    if not facts.log:
        return [row(Span(" train.log is empty or missing", "muted"))]
    skipped = f" {formatting.size(facts.log_begin)} before this are in train.log"
    rows = [row(Span(skipped, "muted"))] if facts.log_begin else []
    for line in facts.log.rstrip("\n").split("\n"):
        # Of a progress bar, what it showed last.
        shown = printable(line.rstrip("\r").rpartition("\r")[2], keep="\t").expandtabs(4)
        rows += [row(Span(f" {part}", _log_style(shown))) for part in _wrapped(shown, columns - 2)]
    return rows


def _log_style(line: str) -> str:
    if "Error" in line or line.startswith(("failed", "Traceback")):
        return "bad"
    return "warn" if "warning" in line.lower() else "text"


def _wrapped(text: str, columns: int) -> list[str]:
    """A line cut into one or more printable parts of at most `columns` cells."""
    return chop_cells(printable(text), max(columns, 8)) or [""]


# -- disk


def disk_rows(facts: RunFacts, columns: int) -> list[Row]:
    """What the run takes on disk, what each checkpoint takes, and why it is kept."""
    use = facts.disk
    if use is None:
        return [row(Span(" Measuring", "muted"))]
    free = f", {formatting.size(use.free)} free on this disk" if use.free is not None else ""
    rows = [row(Span(f" {formatting.size(use.total)}", "strong"), Span(f" in all{free}", "text"))]
    files = [
        (f" {printable(name)}", formatting.size(size), Span(_CONTENT.get(name, ""), "faint"))
        for name, size in use.others.items()
    ]
    for variant, group in groupby(use.checkpoints, key=lambda c: c.variant):
        found = list(group)
        files.insert(0, _variant_row(variant, found))
    rows += [(), *table(_FILES, sorted(files, key=lambda f: "checkpoint" not in f[0]), columns)]
    if use.checkpoints:
        rows += [(), *_kept(facts, columns), ()]
        rows += table(
            _CHECKPOINTS, [_checkpoint(c, facts) for c in _newest_first(use.checkpoints)], columns
        )
    return rows


def _newest_first(checkpoints: Sequence[CheckpointSize]) -> list[CheckpointSize]:
    """By variant as before, each from its last step to its first."""
    groups = groupby(checkpoints, key=lambda c: c.variant)
    return [checkpoint for _, group in groups for checkpoint in reversed(list(group))]


def _variant_row(variant: str, found: Sequence[CheckpointSize]) -> tuple[str, str, Span]:
    total, training = sum(c.total for c in found), sum(c.training for c in found)
    share = f"{len(found)} of them; {formatting.size(training)} is for a resume"
    return f" {NAMES[variant]} checkpoints", formatting.size(total), Span(share, "muted")


def _kept(facts: RunFacts, columns: int) -> list[Row]:
    train = facts.tables.get("train")
    train = train if isinstance(train, Mapping) else {}
    fewer = " Within train.disk_budget there may be fewer." if "disk_budget" in train else ""
    rule = (
        f"Kept for each model: the best, the newest {RESUMABLE} (these can be resumed), and about "
        f"{train.get('snapshots', 20)} snapshots, evenly spaced in the logarithm of the step "
        f"(train.snapshots).{fewer}"
    )
    return [row(Span(f" {line}", "muted")) for line in _words(rule, columns - 2)]


def _words(text: str, columns: int) -> list[str]:
    """A text in lines that break between words, if these are not longer than a line."""
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".lstrip()
        lines[-1:] = [joined] if cell_len(joined) <= columns else [lines[-1], word]
    return [part for line in lines for part in _wrapped(line, columns) if part]


def _checkpoint(checkpoint: CheckpointSize, facts: RunFacts) -> tuple[Span | str, ...]:
    listed = facts.checkpoints.get(checkpoint.variant)
    loss = listed.val_losses.get(checkpoint.step) if listed else None
    names = listed.names_of(checkpoint.step) if listed else []
    spare = "spare" if checkpoint.training and "newest" not in names else ""
    why = ", ".join([*names, *([spare] if spare else [])]) or "snapshot"
    return (
        Span(f" {NAMES[checkpoint.variant]}", checkpoint.variant),
        f"{checkpoint.step:,}",
        formatting.size(checkpoint.total),
        Span(formatting.size(checkpoint.training) if checkpoint.training else "-", "muted"),
        "-" if loss is None else f"{loss:.4f}",
        Span(why, "strong" if names else "muted"),
    )


# -- note


def note_rows(facts: RunFacts, columns: int) -> list[Row]:
    """The note, wrapped between words."""
    if not facts.note.strip():
        return [row(Span(" No note yet: press e to write what this run is for.", "muted"))]
    rows = []
    for line in facts.note.splitlines():
        shown = printable(line, keep="\t").expandtabs(4)
        style = "accent" if line.startswith("#") else "text"
        indented = shown[:1] == " "  # such as a list or code
        parts = _wrapped(shown, columns - 2) if indented else _words(shown, columns - 2) or [""]
        rows += [row(Span(f" {part}", style)) for part in parts]
    return rows
