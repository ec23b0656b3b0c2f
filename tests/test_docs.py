"""The README's table of keys is the program's; UPDATE_SNAPSHOTS=1 writes it anew."""

import os

from tests.helpers.paths import ROOT
from tinygpt_tui.keymap import GROUPS

README = ROOT / "README.md"
BEGIN, END = "compares -->\n", "<!-- end of keys -->"


def table() -> str:
    """The keys as Markdown."""
    lines = ["| key | what it does |", "| --- | --- |"]
    for title, keys in GROUPS.items():
        lines.append(f"| | **{title}** |")
        lines += [f"| `{key.text}` | {key.help} |" for key in keys]
    return "\n".join(lines) + "\n"


def test_keys_of_the_readme() -> None:
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    found, _, after = rest.partition(END)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        README.write_text(before + BEGIN + table() + END + after, encoding="utf-8")
        found = table()
    assert found == table()
