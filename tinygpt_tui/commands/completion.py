"""``--print-completion SHELL``, and what the shell then asks for at each TAB: by argcomplete.

The printed code runs this command with `_ARGCOMPLETE` in its environment, which `answer` answers:
with the same parser as any other call, so that all options are known, and the runs of this moment.
Nothing here may import torch or NumPy: a person waits.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from typing import Any

from tinygpt import hints
from tinygpt.command.options import USAGE, Parser
from tinygpt.command.results import print_text
from tinygpt.command.streams import say
from tinygpt.config import TOKENIZERS, dotted_fields
from tinygpt.fields import nearest

SHELLS = ("bash", "zsh", "fish")
PROGRAM = "tinygpt-tui"

_RUN_FILE = "run.toml"  # importing it from tinygpt.run would load NumPy
_RUNS = ("run", "name", "after", "init_from")
_FOLDERS = ("run", "init_from", "out", "inspect_out", "export")
_FILES = ("config", "data", "val_data", "tokenizer", "prompts", "score")
_WORDS = {
    "data": ("tinyshakespeare", "shakespeare-standin"),
    "tokenizer": TOKENIZERS,
}
_Completer = Callable[..., list[str]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --print-completion."""
    parser.add_argument(
        "--print-completion",
        metavar="|".join(SHELLS),
        help="print the code that completes this command in a shell: in ~/.bashrc or ~/.zshrc, "
        f'eval "$({PROGRAM} --print-completion bash)"; for fish, save it as '
        f"~/.config/fish/completions/{PROGRAM}.fish",
    )


def command(options: argparse.Namespace) -> int:
    """Print the code for a shell; returns the exit status."""
    shell = options.print_completion
    if shell not in SHELLS:
        say(
            f"--print-completion {shell!r} is not one of {', '.join(SHELLS)}"
            f"{nearest(shell, SHELLS)}"
        )
        return USAGE
    from argcomplete.shell_integration import shellcode  # noqa: PLC0415 - only where it is asked

    print_text(shellcode([PROGRAM], shell=shell).lstrip("\n"))
    return 0


def answer(parser: Parser) -> None:
    """If it is the shell that runs this command, tell it what may follow, and exit."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    import argcomplete  # noqa: PLC0415 - not for every command

    for action in parser._actions:  # argparse has no public list of them
        action.completer = _completer(action)  # type: ignore[attr-defined]
    # Options only after a dash: else they would bury the runs.
    argcomplete.autocomplete(parser, always_complete_options=False)


def _completer(action: argparse.Action) -> _Completer:
    """What completes the value of an option: words, runs, files and folders, as they apply."""
    words = [*_words(action)]

    def complete(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
        from argcomplete import completers  # noqa: PLC0415

        found = [*words]
        if action.dest in _RUNS:
            found += runs(getattr(parsed_args, "out", hints.OUT))
        if action.dest in _FILES:
            found += completers.FilesCompleter()(prefix)
        elif action.dest in _FOLDERS:
            found += completers.DirectoriesCompleter()(prefix)
        return found

    return complete


def _words(action: argparse.Action) -> Iterator[str]:
    yield from _WORDS.get(action.dest, ())
    if action.dest == "grid":
        yield from (f"{name}=" for name, _ in dotted_fields())
    metavars = action.metavar if isinstance(action.metavar, tuple) else (action.metavar or "",)
    for metavar in metavars:
        if "|" in metavar:  # "auto|cpu|cuda:N": capitals stand for something else
            yield from (word for word in metavar.split("|") if word == word.lower())


def runs(out: str) -> list[str]:
    """The names of the runs in a folder, sorted; none if it cannot be listed."""
    try:
        with os.scandir(out) as entries:
            names = [e.name for e in entries if os.path.isfile(os.path.join(e.path, _RUN_FILE))]
    except OSError:
        return []
    return sorted(names)
