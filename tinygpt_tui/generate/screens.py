"""Lists to choose from: presets, checkpoints, the tree of texts."""

from __future__ import annotations

from tinygpt.escape import printable
from tinygpt_tui.generate.tree import Tree
from tinygpt_tui.theme import NAMES


def tree_entries(tree: Tree) -> list[tuple[str, str]]:
    """The tree as a list: indented, named, with its first words."""

    def line(words: str) -> str:
        return printable(words)

    entries = []
    for depth, text in tree.walk():
        corner = "└ " if depth else ""
        opened = text.opened
        model = f"{NAMES.get(opened.variant, opened.variant)} {opened.step:,}" if opened else "?"
        begin = line(text.prompt + text.text)
        if depth:
            begin = f"at {text.at + 1}: {line(''.join(t.text for t in text.tokens[text.at :]))}"
        name = f"[{printable(text.name)}] " if text.name else ""
        surprisal = f"{text.mean_surprisal:.2f}" if text.tokens else "-"
        label = f"{'  ' * max(depth - 1, 0)}{corner}{text.id} {model} {surprisal} {name}{begin}"
        entries.append((str(text.id), label[:96]))
    return entries
