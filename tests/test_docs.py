"""The tables of docs/keys.md and docs/commands.md are the program's own; the paths named exist.

UPDATE_SNAPSHOTS=1 rewrites the tables.
"""

import argparse
import os
import re
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT
from tinygpt_tui.cli import make_parser
from tinygpt_tui.keymap import GROUPS

BEGIN, END = "<!-- generated: UPDATE_SNAPSHOTS=1 pytest tests/test_docs.py -->\n", "<!-- end -->"
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")] + sorted(ROOT.glob("docs/*.md"))
PATH = re.compile(r"(?:tests|tinygpt|tinygpt_tui|benchmarks|scripts|docs)/[\w/.-]*\w")
LINK = re.compile(r"\]\((?!http)([^)#]+)\)")
PLANNED = {
    *("tinygpt/training/distributed.py", "benchmarks/study.py"),
}
"""Named by docs/architecture.md as places of what comes next."""


def keys() -> str:
    lines = []
    for title, group in GROUPS.items():
        lines += [f"## {title}", "", "| key | what it does |", "| --- | --- |"]
        lines += [f"| `{key.text}` | {key.help} |" for key in group]
        lines.append("")
    return "\n".join(lines)


def options() -> str:
    lines = []
    for group in make_parser()._action_groups:
        actions = [a for a in group._group_actions if a.help != argparse.SUPPRESS]
        rows = [f"| `{_names(action)}` | {_help(action)} |" for action in actions]
        lines += [f"### {group.title}", "", "| option | what it does |", "| --- | --- |", *rows, ""]
    return "\n".join(lines)


def _names(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else str(action.metavar or action.dest)
    names = " ".join([", ".join(action.option_strings), value]).strip()
    return names.replace("|", r"\|")


def _help(action: argparse.Action) -> str:
    return (action.help or "").replace("%%", "%").replace("|", r"\|")


@pytest.mark.parametrize(("name", "block"), [("keys", keys()), ("commands", options())])
def test_generated_tables(name: str, block: str) -> None:
    path = ROOT / "docs" / f"{name}.md"
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    found, _, after = rest.partition(END)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.write_text(before + BEGIN + block + END + after, encoding="utf-8")
        found = block
    assert found == block


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    code = re.findall(r"`([^`\n]+)`", text)
    paths = {ROOT / p for span in code for p in PATH.findall(span) if p not in PLANNED}
    links = {page.parent / link for link in LINK.findall(text)}
    assert [path for path in paths | links if not path.exists()] == []
