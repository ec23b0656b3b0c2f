"""Mistakes on the command line: one sentence, exit status 2, and nothing on disk."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import tinygpt
from tests.helpers.models import TEXT
from tinygpt.config import dotted_fields
from tinygpt.fields import flag
from tinygpt_tui import cli

FLAGS = sorted(flag(name) for name, _ in dotted_fields())
TINY = ["--preset", "micro", "--gpt.context", "7", "--steps", "1", "--device", "cpu"]
VALUES = st.one_of(
    st.text(st.characters(exclude_characters="\x00"), min_size=1),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(["true", "false", "auto", "nano", "both", "cpu", "-0", "1e400", "0x10", "½"]),
)


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit status and stderr of the command; stdout has to be empty."""
    capsys.readouterr()
    try:
        status = cli.main(arguments)
    except SystemExit as end:
        status = int(str(end.code))
    shown = capsys.readouterr()
    assert not shown.out
    return status, shown.err


@settings(
    max_examples=400,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(pairs=st.lists(st.tuples(st.sampled_from(FLAGS), VALUES), min_size=1, max_size=4))
@example(pairs=[("--gpt.width", "\x1b[2J")])
@example(pairs=[("--name", "a\nb")])
def test_any_value_of_any_flag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pairs: list[tuple[str, str]]
) -> None:
    words = [f"{name}={value}" for name, value in pairs]
    # Even if everything else is valid, this file is missing.
    end = ["--out", str(tmp_path / "runs"), "--data", str(tmp_path / "missing.txt")]
    status, text = said(["--train-only", *words, *end], capsys)
    assert status == 2, text
    assert len(text.strip("\n").splitlines()) == 1, text
    assert text.strip("\n").isprintable()
    assert not (tmp_path / "runs").exists()


@settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.binary(max_size=200))
@example(b"steps = -1")
@example(b"[gpt]\nwidth = 'wide'")
@example(b"[train]\nbatch = [1]")
@example(b'["\\u001b[2J"]\nx = 1')
@example(b"[optim.momentum]\nx = 1")
def test_any_file_of_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes
) -> None:
    file = tmp_path / "settings.toml"
    file.write_bytes(data)
    end = ["--out", str(tmp_path / "runs"), "--data", str(tmp_path / "missing.txt")]
    status, text = said(["--train-only", "--config", str(file), *end], capsys)
    assert status == 2, text
    assert len(text.strip("\n").splitlines()) == 1, text
    assert text.strip("\n").isprintable()
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", [name.removeprefix("--") for name in FLAGS])
def test_the_error_for_an_invalid_value_names_the_flag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    if name in ("data", "data-field", "val-data", "train.sample-prompt"):
        return  # any text is valid
    status, text = said(["--train-only", f"--{name}", "?!", "--out", str(tmp_path)], capsys)
    assert status == 2
    assert f"--{name} '?!'" in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--train-only", "--ascii"], "--ascii is for the interface"),
        (["--train-only", "--generate", "x"], "--train-only and --generate exclude each other"),
        (["--generate", "x", "--inspect", "y"], "--generate and --inspect exclude each other"),
        (["--inspect-out", "x.csv"], "--inspect-out is for --inspect TEXT"),
        (["--top-k", "3"], "--top-k is for --generate PROMPT"),
        (["--train-only", "--top-k", "3"], "--top-k is for --generate PROMPT"),
        (["nowhere"], "there is no run 'nowhere'"),
        ([""], "there is no run ''"),
        (["x" * 300], "File name too long"),
        (["--train-only", "--out", ""], "--out: '' is no path: name one (. is this folder)"),
        (["--generate", "x", "--out", " "], "--out: ' ' is no path"),
        (["--train-only", "--config", ""], "--config: '' is no path"),
        (["a", "--inspect", "x", "--inspect-out", ""], "--inspect-out: '' is no path"),
        ([], "the interface needs a terminal"),
        (["--json"], "--json is for --train-only"),
        (["--seeds", "3"], "--seeds is for --train-only: the app starts one run at a time"),
        (["--grid", "seed=1,2"], "--grid is for --train-only"),
        (["--resume"], "--resume: there is no run in"),
        (["--resume", "--name", "x"], "there is no run 'x'"),
        (["--train-only", "--start"], "--start is for the interface"),
        (["--start", "--json"], "--json is for --train-only"),
        (["--steps", "many"], "--steps 'many' is not a whole number"),
        (["--gpt.heads", "3"], "--gpt.width 129"),
        (["--data", "nowhere.txt", "--start"], "--data: there is no readable file nowhere.txt"),
        (["--name", "a/b"], "it has a path separator"),
        (["--config", "nowhere.toml"], "--config nowhere.toml cannot be read"),
        (["--steps", "7", "--start"], "the interface needs a terminal"),
        (["--train-only", "somewhere"], "--train-only takes no RUN"),
        (["--track", "tensorbord"], "--track 'tensorbord' is not a tracker; did you mean"),
        (["--track-to", "x"], "--track-to 'x' is not a tracker: it takes tensorboard, trackio"),
        (["--track-to", "none"], "--track-to needs the name of a tracker, such as tensorboard"),
        (["--track-model"], "--track-model needs a tracker, such as --track wandb"),
        (["--train-only", "--track-model"], "--track-model needs a tracker"),
        (["--seeds", "2", "--train-only", "--track-model"], "--track-model needs a tracker"),
        (["a", "--generate", "x", "--track", "none"], "--track has no effect with --generate"),
        (["--train-only", "--moe.top-k", "9"], "--moe.top-k is 9, but there are only 4 experts"),
        (["--train-only", "--gpt.heads", "3"], "--gpt.width 129"),
        (["--train-only", "--gpt.widht", "3"], "did you mean --gpt.width?"),
    ],
)
def test_contradictions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    status, text = said(["--out", str(tmp_path), *arguments], capsys)
    assert status == 2
    assert says in text
    assert not list(tmp_path.iterdir())


def test_help_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert [name for name in FLAGS if name not in text] == []


@pytest.mark.parametrize("out", ["dangling", "dangling/inner", "file"])
def test_runs_can_only_be_written_to_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], out: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("corpus.txt").write_text(TEXT)
    Path("dangling").symlink_to("nowhere")
    Path("file").touch()
    status, text = said(["--train-only", "--data", "corpus.txt", "--out", out, *TINY], capsys)
    why = "it is a link to nowhere, which does not exist" if out != "file" else "it is not a folder"
    assert (status, text) == (2, f"cannot write {out.partition('/')[0]}: {why}\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus.txt", "dangling", "file"]


@pytest.mark.parametrize("words", [["--version"], ["--train-only", "--version"]])
def test_the_version_is_shown(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == 0
    assert capsys.readouterr().out == f"tinygpt-tui {tinygpt.__version__}\n"
