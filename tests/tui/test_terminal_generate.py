"""The Generate tab in tmux, over the real app: from the prompt to a file, and the timeline."""

import json
from pathlib import Path
from typing import Any

import tinygpt
from tests.helpers.checkpoints import TOKENIZER, snapshot
from tests.helpers.scenes import make_run
from tests.helpers.terminals import APP, Terminal, end_all, find
from tests.helpers.waiting import until
from tinygpt import checkpoint
from tinygpt.data.tokenizer_file import save_tokenizer

LENGTH = 53


def test_prompt_both_inspect_branch_save_replay(tmp_path: Path) -> None:
    find("tmux")
    run = tmp_path / "runs" / "one"
    writer = make_run(run.parent, "one")
    for variant, step in (("dense", 3), ("dense", 7), ("moe", 7)):
        checkpoint.save(run, snapshot(variant, step, loss=2 - step / 10))
    save_tokenizer(TOKENIZER, run / "tokenizer.json")
    state = f"XDG_STATE_HOME={tmp_path / 'state'}"
    terminal = Terminal(("env", state, *APP), tmp_path, 80, 24)
    try:
        drive(terminal, tmp_path, run)
    finally:
        writer.close()
        terminal.kill()
        end_all(tmp_path)


def drive(terminal: Terminal, folder: Path, run: Path) -> None:
    terminal.sees("one", "Dense", "MoE")
    terminal.press("2")
    terminal.sees("g generates with Dense (newest · step 7 · val 1.300)")
    terminal.press("X")
    terminal.sees("Enter select")
    terminal.type(str(LENGTH))
    terminal.press("Enter", "S")
    terminal.sees("blank is random  ↑↓ step  Enter select")
    terminal.type("11")
    terminal.press("Enter", "t")
    terminal.press("C-u")
    terminal.type("abc")
    terminal.press("Enter")
    terminal.sees("Dense · newest · step 7", "MoE · newest · step 7")
    terminal.until(lambda: "generating" not in terminal.screen())
    said = saved(terminal, folder / "dense.json")
    found = tinygpt.load(run / "dense")
    params = tinygpt.SamplingParams(**{**said["sampling"], "seed": 11})
    assert said["text"] == tinygpt.generate(found.model, found.tokenizer, "abc", params)
    assert_shown(terminal, "abc" + said["text"])

    terminal.press("Left", "Left")
    terminal.sees(f"{LENGTH - 1}/{LENGTH}", "entropy")
    terminal.press("Enter", "Down", "Enter")
    terminal.until(lambda: "entropy" not in terminal.screen())
    terminal.press("b")
    terminal.sees("└ 3 ", f"at {LENGTH - 1}:")
    terminal.press("Escape")
    terminal.until(lambda: "Texts" not in terminal.screen())
    branch = saved(terminal, folder / "branch.json")
    assert [place for place, _ in branch["chosen_by_hand"]] == [LENGTH - 2]
    assert branch["text"][: LENGTH - 2] == said["text"][: LENGTH - 2]
    assert branch["text"][LENGTH - 2] != said["text"][LENGTH - 2]

    terminal.press("p")
    terminal.sees("step 3", "step 7", "mean NLL")
    terminal.press("q")
    terminal.sees("Leave it running")
    terminal.press("l", "Enter")
    assert terminal.ends() == 0


def saved(terminal: Terminal, path: Path) -> dict[str, Any]:
    """Save the text under the keys, and read the file."""
    terminal.press("w")
    terminal.sees("Save to a file")
    terminal.press("C-u")
    terminal.type(path.name)
    terminal.press("Enter")
    until(path.is_file, terminal.screen)
    terminal.until(lambda: "Save to a file" not in terminal.screen())
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def assert_shown(terminal: Terminal, text: str) -> None:
    """The left column holds the text as it is, but for where lines are broken."""
    terminal.until(lambda: "Saved" not in terminal.screen())
    lines = terminal.screen().splitlines()
    first = next(n for n, line in enumerate(lines) if "Dense · newest · step" in line) + 1
    column = "".join(line.partition("│")[0] for line in lines[first:])
    assert "".join(text.split()) in "".join(column.split())
