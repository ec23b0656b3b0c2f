"""Run directories as nobody should find them, and everything that looks at one."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

import tinygpt
from tests.helpers.models import TEXT
from tinygpt import checkpoint
from tinygpt.config import build
from tinygpt.data.corpus import read_text
from tinygpt.data.run_corpus import probable_place
from tinygpt.errors import TinyGPTError, TinyGPTWarning
from tinygpt.run import (
    RunInfo,
    RunState,
    checkpoint_dir,
    list_checkpoints,
    list_runs,
    list_steps,
    read_config,
    read_state,
    request,
)
from tinygpt.run.columns import group
from tinygpt.run.manage import resume_problem
from tinygpt.run.reader import MetricsReader, last_end
from tinygpt.run.settings import stored_settings
from tinygpt.training import Loop, begin, resume
from tinygpt_tui import theme
from tinygpt_tui.experts import load_chart
from tinygpt_tui.monitor.history import History
from tinygpt_tui.monitor.open_run import choose_run, planned_minutes
from tinygpt_tui.monitor.summary import summary
from tinygpt_tui.opening import run_to_open
from tinygpt_tui.render.cells import plain, width
from tinygpt_tui.render.header_footer import header_row
from tinygpt_tui.screens import runs_table
from tinygpt_tui.train import view as train_view
from tinygpt_tui.train.state import TrainState

CANARY = "executed"
EVIL = (
    "\x1b]0;owned\x07\x1b[2J",
    "a\rb\x00c",
    "link https://x/\x1b]52;c;x\x07",
    "\u202eabc",
    "\ud800",
    "e\u0301\u200d👩‍👩‍👧 漢字 עברית",
    "../../../etc/passwd",
    "x" * 5000,
    "",
)
STRANGE: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    7,
    10**6,
    2**63,
    10**30,
    -(10**30),
    10**400,
    1e308,
    0.5,
    "NaN",
    "Infinity",
    [],
    {},
    [[]],
    [1, "a", None],
    {"a": {"b": []}},
    *EVIL,
)
TOML = (
    "-1",
    "0",
    "true",
    '"\\u001b[2J"',
    "[]",
    "{}",
    "99999999999999999999",
    "nan",
    "inf",
    "1e400",
)
INSTEAD = (b"", b"null", b"[]", b"{}", b"1", b"\n", b"[" * 9999, b"\xff")
Files = dict[str, bytes]


class Executes:
    """A pickle that leaves a trace where it is loaded."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {CANARY}",)


def good_run(folder: Path) -> Files:
    """Every file of a small run, Dense and MoE, trained to its end."""
    corpus = folder / "corpus.txt"
    corpus.write_text(TEXT)
    shape: dict[str, object] = {"gpt.layers": 1, "gpt.heads": 2, "gpt.width": 12, "gpt.context": 7}
    pace = {"train.batch": 5, "train.eval_every": 2, "train.sample_tokens": 11, "steps": 4}
    config = build({**shape, **pace, "device": "cpu", "data": str(corpus)})
    made = begin(config, read_text(corpus), str(folder), "good", ["test"])
    with made.writer:
        assert Loop(made).run().state == "done"
    run = folder / "good"
    (run / "train.log").write_text("dense step 2\n")
    return {str(p.relative_to(run)): p.read_bytes() for p in run.rglob("*") if p.is_file()}


@st.composite
def damages(draw: st.DrawFn, files: Files) -> Files:
    """The files of a run, of which one to three are not as they were. A file may become a link
    (its bytes begin with "link:"), or a folder ("folder:")."""
    found = dict(files)
    for _ in range(draw(st.integers(1, 3))):
        files_still = sorted(n for n in found if not found[n].startswith((b"link:", b"folder:")))
        name = draw(st.sampled_from(files_still))
        found[name] = draw(_damaged(name, found[name]))
    if draw(st.booleans()):
        name = draw(st.sampled_from(sorted(found)))
        del found[name]
    return found


@st.composite
def _damaged(draw: st.DrawFn, name: str, data: bytes) -> bytes:
    ways = ["cut", "flip", "noise", "insert", "instead", "pickle", "link", "folder"]
    ways += ["meaning"] * (8 if name.endswith((".json", ".jsonl", ".toml")) else 0)
    way = draw(st.sampled_from(ways))
    place = draw(st.integers(0, max(0, len(data) - 1)))
    if way == "cut":
        return data[:place]
    if way == "flip" and data:
        bit = 1 << draw(st.integers(0, 7))
        return data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]
    if way == "noise":
        return draw(st.binary(max_size=200))
    if way == "insert":
        return data[:place] + draw(st.binary(min_size=1, max_size=20)) + data[place:]
    if way == "instead":
        return draw(st.sampled_from(INSTEAD))
    if way == "pickle":
        return pickle.dumps(Executes())
    if way == "link":
        return b"link:" + draw(st.sampled_from([b"/etc/passwd", b".", b"nowhere", b"/dev/zero"]))
    if way == "folder":
        return b"folder:"
    return draw(_meant(name, data))


@st.composite
def _meant(draw: st.DrawFn, name: str, data: bytes) -> bytes:
    """Well written, and wrong."""
    if name.endswith(".toml"):
        lines = data.decode(errors="replace").splitlines() or [""]
        at = draw(st.integers(0, len(lines) - 1))
        key = lines[at].partition("=")[0]
        lines[at] = draw(st.sampled_from(["", f"{key}= {draw(st.sampled_from(TOML))}", "new = 1"]))
        return "\n".join(lines).encode()
    lines = [data.decode(errors="replace")]
    if name.endswith(".jsonl"):
        lines = lines[0].splitlines() or [""]
    at = draw(st.integers(0, len(lines) - 1))
    try:
        value = json.loads(lines[at])
    except (ValueError, RecursionError):
        return data
    lines[at] = json.dumps(draw(_changed(value)))
    return ("\n".join(lines) + "\n").encode(errors="surrogatepass")


@st.composite
def _changed(draw: st.DrawFn, value: Any, depth: int = 0) -> Any:
    """A value of JSON with one place in it changed."""
    strange = st.sampled_from(STRANGE)
    if isinstance(value, dict) and value and (depth == 0 or draw(st.booleans())):
        key = draw(st.sampled_from(sorted(value)))
        way = draw(st.sampled_from(["inside", "inside", "drop", "rename", "add"]))
        if way == "drop":
            return {k: v for k, v in value.items() if k != key}
        if way == "rename":
            return {(draw(st.sampled_from(EVIL)) if k == key else k): v for k, v in value.items()}
        if way == "add":
            return {**value, "of_a_newer_version": draw(strange)}
        return {**value, key: draw(_changed(value[key], depth + 1))}
    if isinstance(value, list) and value and draw(st.booleans()):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], draw(_changed(value[at], depth + 1)), *value[at + 1 :]]
    return draw(strange)


def write(files: Files, run: Path) -> None:
    """A run directory of these files, in place of what was there."""
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir()
    for name, data in files.items():
        path = run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if data.startswith(b"link:"):
            path.symlink_to(os.fsdecode(data[5:]))
        elif data.startswith(b"folder:"):
            path.mkdir()
        else:
            path.write_bytes(data)


def look(run: Path) -> int:
    """Everything that anything does with a run directory; how much of it was refused.

    A refusal is a sentence that any terminal may show.
    """
    refused = 0

    def attempt(what: Callable[..., object], *arguments: Any) -> Any:
        nonlocal refused
        try:
            return what(*arguments)
        except (TinyGPTError, TinyGPTWarning) as error:
            refused += 1
            sentence = str(error)
            assert sentence
            assert sentence.isprintable(), repr(sentence)
            sentence.encode()
            return None

    out = run.parent
    listed = attempt(list_runs, out)
    for info in listed or []:
        assert isinstance(info, RunInfo)
        attempt(resume_problem, info.path, info.state)
        found = summary(info.path)
        runs_table.details(runs_table.RunEntry(info, found))
        runs_table.age(max(0.0, 1.8e9 - info.created))
    attempt(choose_run, out, None)
    attempt(run_to_open, run.name, str(out))
    attempt(planned_minutes, run)
    attempt(summary, run)
    attempt(read_config, run)
    attempt(last_end, run)
    state = read_state(run)
    draw(state, attempt(read_history, run))
    attempt(stored_settings, run)
    attempt(lambda run: probable_place(run, stored_settings(run)), run)
    for variant in ("dense", "moe"):
        attempt(checkpoint.newest_resumable, run, variant)
        for step in list_steps(run, variant)[-1:]:
            attempt(use, checkpoint_dir(run, variant, step))
    attempt(tinygpt.load, run)
    for listed_variant in list_checkpoints(run).values():
        assert all(map(str.isprintable, listed_variant.problems.values()))
    attempt(request, run, "pause")
    attempt(take_up, run)
    return refused


def read_history(run: Path) -> History:
    """As the app reads it, and as headless commands do."""
    reader = MetricsReader(run)
    history, again = History(), History()
    for item in reader.read_all():
        history.add([item])
    again.add(group(MetricsReader(run).read()))
    assert history.step == again.step
    return history


def draw(state: RunState, history: History | None) -> None:
    """The rows of the Train tab and of the load of the experts: each as wide as asked."""
    history = history or History()
    header_row("train", "run", str(history.start and history.start.corpus), state, 80)
    for columns, lines in ((80, 24),):
        rows = train_view.tab(TrainState(history, run_state=state), columns, lines)
        assert [width(row) for row in rows] == [columns] * lines
        assert all(line.isprintable() for line in plain(rows))
        for span in (span for row in rows for span in row):
            assert theme.style(span.style).link is None
    for variant in history.variants.values():
        if variant.routing:
            load_chart.load_block(variant.routings, 71, 13)
            load_chart.balance_from_record(variant.routing)


def use(place: Path) -> None:
    """A model that can be loaded writes and is looked into."""
    found = tinygpt.load(place)
    params = tinygpt.SamplingParams(seed=1, max_new_tokens=3)
    prompt = found.tokenizer.decode([0, 1])
    tinygpt.generate(found.model, found.tokenizer, prompt, params)
    tinygpt.inspect_tokens(found.model, [0, 1, 2])


def take_up(run: Path) -> None:
    """A resume, until it would train."""
    resume(run, {"data": str(run.parent / "corpus.txt"), "steps": "9"}).writer.close()
