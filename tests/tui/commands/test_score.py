"""``tinygpt-tui --score``: the loss of a text per token and per byte."""

import io
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import tinygpt
from tests.helpers.models import TEXT
from tests.helpers.training import make_session, train_session
from tinygpt.data.characters import CharTokenizer
from tinygpt.data.splits import split
from tinygpt.data.tokenizer_file import save_tokenizer
from tinygpt_tui import cli

WIDE = sorted([*"\nabcd", "é", "ß", "€", "道", "理", "😀", "y", "z"])
LETTERS = "道ab€éz\n理😀dßcay" * 3


def scored(capsys: pytest.CaptureFixture[str], *asked: str) -> dict[str, Any]:
    assert cli.main([*asked, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture
def wide(run: Path) -> Path:
    """The run, in fp32 and with characters of one to four bytes."""
    save_tokenizer(CharTokenizer(WIDE), run / "tokenizer.json")
    with (run / "run.toml").open("a") as toml:
        toml.write('\n[train]\nprecision = "fp32"\n')
    return run


def test_the_validation_split_has_the_recorded_loss(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = make_session(tmp_path, train__precision="fp32")
    outcome = train_session(session)
    file = tmp_path / "validation.txt"
    file.write_text(split(TEXT)[1])
    found = scored(capsys, str(session.path), "--score", str(file), "--step", "newest")
    assert list(found["models"]) == ["dense", "moe"]
    for variant, model in found["models"].items():
        assert model["loss"] == model["val_loss"] == outcome.models[variant]["val_loss"]
        assert model["perplexity"] == pytest.approx(outcome.models[variant]["perplexity"])
        assert (model["context"], model["stride"], model["precision"]) == (7, 7, "fp32")


def test_the_precision_is_that_of_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = make_session(tmp_path, train__precision="bf16", model="moe")
    outcome = train_session(session)
    file = tmp_path / "validation.txt"
    file.write_text(split(TEXT)[1])
    found = scored(capsys, str(session.path), "--score", str(file), "--step", "newest")
    assert found["models"]["moe"]["precision"] == "bf16"
    assert found["models"]["moe"]["loss"] == outcome.models["moe"]["val_loss"]


@pytest.mark.parametrize("stride", [None, 1, 3, 10, 11])
@pytest.mark.parametrize("length", [2, 11, 12, 13, 23, 42])
def test_tokens_and_bytes_are_those_of_a_computation_apart(
    wide: Path, stride: int | None, length: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """One forward pass per token, from what its window has before it."""
    text = LETTERS[:length]
    file = wide.parent / "text.txt"
    file.write_text(text, encoding="utf-8")
    asked = [] if stride is None else ["--stride", str(stride)]
    found = scored(capsys, str(wide), "--score", str(file), "--model", "dense", *asked)
    checkpoint = tinygpt.load(wide / "dense")
    context = checkpoint.model.config.context
    ids, total = checkpoint.tokenizer.encode(text), 0.0
    for target in range(1, length):
        windows = range(0, length, stride or context)
        start = next(start for start in windows if target <= start + context)
        with torch.no_grad():
            logits = checkpoint.model(torch.tensor([ids[start:target]]))[0, -1]
        total -= float(logits.double().log_softmax(-1)[ids[target]])
    size = len(text[1:].encode())
    model = found["models"]["dense"]
    assert (found["chars"], found["bytes"]) == (length, len(text.encode()))
    assert (model["tokens"], model["scored_tokens"]) == (length, length - 1)
    assert model["scored_bytes"] == size
    assert model["loss"] == pytest.approx(total / (length - 1), rel=1e-5)
    assert model["loss_per_byte"] == pytest.approx(total / size, rel=1e-5)
    assert model["bits_per_byte"] == pytest.approx(total / size / math.log(2), rel=1e-5)
    assert model["perplexity"] == pytest.approx(math.exp(total / (length - 1)), rel=1e-4)


def test_which_models_are_scored(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = run.parent / "text.txt"
    file.write_text("abcabc")
    for where, flags, expected in (
        ("", [], {"dense": (3, "best"), "moe": (7, "best")}),
        (
            "",
            ["--model", "both", "--step", "newest"],
            {"dense": (7, "newest"), "moe": (7, "newest")},
        ),
        ("", ["--model", "moe"], {"moe": (7, "best")}),
        ("dense", ["--step", "7"], {"dense": (7, None)}),
        ("dense/step-00000003", [], {"dense": (3, None)}),
    ):
        found = scored(capsys, str(run / where), "--score", str(file), *flags)["models"]
        assert {v: (m["step"], m["chosen_as"]) for v, m in found.items()} == expected


def test_the_table(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("abcabc"))
    found = scored(capsys, str(run), "--score", "-")["models"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("abcabc"))
    assert cli.main([str(run), "--score", "-"]) == 0
    title, _, heading, step, loss, *rest = capsys.readouterr().out.splitlines()
    assert title == "-: 6 tokens, 6 bytes; context 11, stride 11"
    assert heading.split() == ["dense", "moe"]
    assert step.split() == ["checkpoint", "step", "3", "7"]
    numbers = [f"{found[variant]['loss']:.4f}" for variant in ("dense", "moe")]
    assert loss.split() == ["nats", "per", "token", *numbers]
    assert [line.split()[:3] for line in rest[1:3]] == [
        ["nats", "per", "byte"],
        ["bits", "per", "byte"],
    ]


@pytest.mark.parametrize(
    ("text", "flags", "says"),
    [
        ("", [], "--score {file} has fewer than 2 tokens: nothing can be predicted"),
        ("a", [], "--score {file} has fewer than 2 tokens: nothing can be predicted"),
        ("a\nbc\ndXe", [], "{file}: the model does not know 'X' (U+0058, latin capital letter x) "),
        ("a\nbc\ndXe", [], " at position 6 (line 3) of the text; it knows"),
        (b"a\xff", [], "--score {file} is not UTF-8 text (invalid byte 0xff at byte 1): save"),
        ("abc", ["--stride", "0"], "--stride '0' is not a whole number from 1 to 11, the context"),
        (
            "abc",
            ["--stride", "12"],
            "--stride '12' is not a whole number from 1 to 11, the context",
        ),
        ("abc", ["--stride", "x"], "--stride 'x' is not a whole number from 1 to 11, the context"),
        ("abc", ["--top-k", "3"], "--top-k has no effect with --score"),
        ("abc", ["--model", "mo"], "--model 'mo' is not valid: --score takes dense or moe"),
        ("abc", ["--inspect", "a"], "--score and --inspect exclude each other"),
    ],
)
def test_mistakes(
    run: Path, text: str | bytes, flags: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = run.parent / "text.txt"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        status = cli.main([str(run), "--score", str(file), *flags])
    except SystemExit as stop:
        status = stop.code  # type: ignore[assignment]
    said = capsys.readouterr()
    assert (status, said.out, said.err.count("\n")) == (2, "", 1)
    assert says.format(file=file) in said.err


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("--score", "no.txt"), "--score no.txt cannot be read: No such file or directory"),
        (("--stride", "3"), "--stride is for --score FILE"),
    ],
)
def test_mistakes_on_the_command_line(
    run: Path, asked: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = cli.main([str(run), *asked])
    except SystemExit as stop:
        status = stop.code  # type: ignore[assignment]
    assert status == 2
    assert says in capsys.readouterr().err
