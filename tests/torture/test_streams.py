"""Every way in which streams are closed or full, and locales that lack characters."""

import itertools
import json
import locale
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.redirected import APP, redirected
from tests.helpers.trainer import SHAPE, command
from tinygpt.run import read_state

COUNT = Callable[[str, object], None]
CLOSED = [
    " ".join(streams)
    for size in (1, 2, 3)
    for streams in itertools.combinations(("<&-", ">&-", "2>&-"), size)
]
FULL = [">/dev/full", "2>/dev/full", ">/dev/full 2>/dev/full", ">/dev/full 2>&-"]
LOCALES = {
    "UTF-8": {"LC_ALL": "C.UTF-8"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "ascii": {"PYTHONIOENCODING": "ascii:strict"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ISO-8859-1": {"LC_ALL": "en_US.ISO-8859-1"},
}
TEXT = "道可道非常道名可名非常名無名天地之始有名萬物之母é\n" * 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a text and a run trained on it, all with names that latin-1 lacks."""
    inner = tmp_path / "é道"
    inner.mkdir()
    (inner / "母.txt").write_text(TEXT, encoding="utf-8")
    words = ("--data", "母.txt", *SHAPE, "--name", "one", "--steps", "11")
    done = redirected(command(*words), "", inner)
    assert done.returncode == 0, done.stderr.decode()
    return inner


def train(name: str, *more: str, script: str) -> list[str]:
    return command(
        *("--data", "母.txt", *SHAPE, "--name", name, "--steps", "11", *more), script=script
    )


@pytest.mark.parametrize("how", [*CLOSED, *FULL])
def test_any_streams(folder: Path, how: str, record_property: COUNT) -> None:
    """Results that nobody wants are no error; those that cannot be written are exit status 1."""
    expected = 1 if ">/dev/full" in how.split() else 0
    run = ("runs/one",)
    commands = {
        "trainer": train("a", script="trainer"),
        "app": train("b", "--json", script="tinygpt_tui"),
        "resume": command("--resume", "--name", "one", "--out", "runs", "--steps", "22"),
        "generate": [*APP, *run, "--generate", "道", "--max-new-tokens", "9"],
        "generate json": [*APP, *run, "--generate", "道", "--max-new-tokens", "9", "--json"],
        "inspect": [*APP, *run, "--inspect", "道可", "--inspect-out", "look"],
        "help": [*APP, "--help"],
    }
    for name, words in commands.items():
        done = redirected(words, how, folder)
        assert done.returncode == expected, (name, done.stderr.decode())
        assert b"Traceback" not in done.stderr
    for name in ("a", "b", "one"):
        assert read_state(folder / "runs" / name).state == "done"
    assert (folder / "look" / "heads.csv").is_file()
    record_property("count commands with closed or full streams", len(commands))


@contextmanager
def usable(name: str) -> Iterator[dict[str, str]]:
    """The variables of a locale; skips the test if it is not installed."""
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, LOCALES[name].get("LC_ALL", before))
    except locale.Error:
        pytest.skip(f"the locale {LOCALES[name]['LC_ALL']} is not installed here")
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    yield LOCALES[name]


@pytest.mark.parametrize("name", [name for name in LOCALES if name != "UTF-8"])
def test_any_locale(folder: Path, name: str, record_property: COUNT) -> None:
    """The same files and the same JSON as in UTF-8; text is escaped where it has to be."""
    prompt = "道可".encode()
    generate = [*APP, "runs/one", "--generate", "-", "--seed", "3", "--max-new-tokens", "9"]
    inspect = [*APP, "runs/one", "--inspect", "-", "--json"]
    with usable(name) as variables:
        for words in ([*generate, "--json"], inspect):
            there, here = (
                _parsed(redirected(words, "", folder, text=prompt, variables=each).stdout)
                for each in (LOCALES["UTF-8"], variables)
            )
            assert here == there
        text = _parsed(redirected([*generate, "--json"], "", folder, text=prompt).stdout)["text"]
        done = redirected(generate, "", folder, text=prompt, variables=variables)
        assert done.returncode == 0, done.stderr.decode()
        encoding = "latin-1" if "1" in name else "ascii"
        assert done.stdout.rstrip(b"\n") == text.rstrip("\n").encode(encoding, "backslashreplace")

        for run, each in (("a", LOCALES["UTF-8"]), ("b", variables)):
            words = train(run, script="trainer")
            done = redirected(words, "", folder, variables=each)
            assert done.returncode == 0, done.stderr.decode()
        files = [sorted((folder / "runs" / run).rglob("model.safetensors")) for run in "ab"]
        assert files[0]
        assert [f.read_bytes() for f in files[0]] == [f.read_bytes() for f in files[1]]
        (folder / "runs" / "b" / "train.log").read_text(encoding="utf-8")
        if name == "C":
            return  # Python cannot name 母.txt in ASCII from what run.toml says
        resumed = command("--resume", "--name", "b", "--out", "runs", "--steps", "22")
        done = redirected(resumed, "", folder, variables=variables)
        assert done.returncode == 0, done.stderr.decode()
    record_property("count commands in locales that lack characters", 8)


def _parsed(data: bytes) -> Any:
    """JSON that must be ASCII, without a speed and without the folder, which is read by locale."""
    found = json.loads(data.decode("ascii"))
    return {k: v for k, v in found.items() if k not in ("tokens_per_second", "checkpoint")}
