"""``tinygpt-tui --generate`` and ``--inspect``: to stdout, for scripts."""

import dataclasses
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import tinygpt
from tests.helpers.checkpoints import TOKENIZER, snapshot
from tests.helpers.scenes import make_run
from tinygpt import SamplingParams, checkpoint
from tinygpt.analysis import heads
from tinygpt.analysis.attention_maps import repeated_baseline, uniform_baseline
from tinygpt.data.tokenizer import save_tokenizer
from tinygpt_tui import cli
from tinygpt_tui.commands.generate import SAMPLING


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of both variants, untrained: any text follows any other."""
    folder = tmp_path / "runs" / "one"
    make_run(folder.parent, "one").close()
    for variant, step in (("dense", 3), ("dense", 7), ("moe", 7)):
        checkpoint.save(folder, snapshot(variant, step, loss=step / 2 + (variant == "moe")))
    save_tokenizer(TOKENIZER, folder / "tokenizer.json")
    return folder


def text_of(path: Path, prompt: str, **given: object) -> str:
    found = tinygpt.load(path)
    params = SamplingParams(**given)  # type: ignore[arg-type]
    return tinygpt.generate(found.model, found.tokenizer, prompt, params)


def test_the_options_are_the_fields_of_sampling_params() -> None:
    fields = {field.name: field for field in dataclasses.fields(SamplingParams)}
    assert [*SAMPLING] == [name for name in fields if name != "seed"]
    for name, option in SAMPLING.items():
        default = fields[name].default
        if name != "stop":
            assert option.kind is type(default)
            assert option.kind is bool or f"({default:g})" in option.help


def test_the_text_is_that_of_generate(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [str(run), "--generate", "abc", "--seed", "3", "--max-new-tokens", "17"]
    asked += ["--temperature", "0.7", "--top-k", "5", "--stop", "kk", "--stop", "jj"]
    assert cli.main([*asked, "--model", "dense"]) == 0
    same = {"seed": 3, "max_new_tokens": 17, "temperature": 0.7, "top_k": 5, "stop": ("kk", "jj")}
    expected = text_of(run / "dense", "abc", **same)
    assert capsys.readouterr().out == expected + "\n" * (not expected.endswith("\n"))


@pytest.mark.parametrize(
    ("where", "variant", "step"),
    [
        ("", "dense", 7),
        ("dense", "dense", 7),
        ("moe", "moe", 7),
        ("dense/step-00000003", "dense", 3),
    ],
)
def test_json_says_what_makes_it_again(
    run: Path, where: str, variant: str, step: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        cli.main([str(run / where), "--generate", "abc", "--max-new-tokens", "13", "--json"]) == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert (found["prompt"], found["variant"], found["step"]) == ("abc", variant, step)
    assert len(found["tokens"]) == 13
    assert "".join(token["text"] for token in found["tokens"]) == found["text"]
    mean = sum(token["surprisal"] for token in found["tokens"]) / 13
    assert found["mean_surprisal"] == pytest.approx(mean)
    again = {**found["sampling"], "stop": tuple(found["sampling"]["stop"])}
    assert text_of(Path(found["checkpoint"]), found["prompt"], **again) == found["text"]


def test_a_run_is_named_as_in_the_app_and_a_prompt_piped(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = text_of(run, "a\nb", greedy=True, max_new_tokens=5)
    for name in (["one"], []):
        monkeypatch.setattr(sys, "stdin", io.StringIO("a\nb"))
        asked = [*name, "--out", str(run.parent), "--generate", "-", "--greedy"]
        assert cli.main([*asked, "--max-new-tokens", "5"]) == 0
        assert capsys.readouterr().out == expected + "\n" * (not expected.endswith("\n"))


def test_a_prompt_that_is_no_text_is_refused(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"ab\xffc"), "utf-8"))
    assert cli.main(["one", "--out", str(run.parent), "--generate", "-"]) == 2
    said = capsys.readouterr().err
    assert said == "stdin is not UTF-8 text (invalid byte 0xff at byte 2): pipe in UTF-8\n"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--generate", "aXb"], "X"),
        (["--generate", "a", "--top-p", "2"], "--top-p is 2.0"),
        (["--json"], "--json is for --train-only, --generate and --inspect"),
        (["--generate", "a", "--top-k", "many"], "--top-k 'many' is not a whole number"),
        (["--generate", "a", "--seed", "x"], "--seed 'x' is not a whole number"),
        (["--generate", "a", "--model", "both"], "--generate takes dense or moe"),
        (["--generate", "a", "--steps", "5"], "--steps means nothing to --generate"),
        (["--generate", "a", "--device", "abacus"], "abacus"),
        (["--generate", "a", "--train-only"], "give one of them"),
        (["--temperature", "0.5"], "--temperature is for --generate"),
        (["--inspect", "aXb"], "X"),
        (["--inspect", ""], "nothing to inspect"),
        (["--inspect", "a", "--model", "both"], "--inspect takes dense or moe"),
        (["--inspect", "a", "--top-k", "5"], "--top-k means nothing to --inspect"),
        (["--inspect", "a", "--generate", "a"], "--generate and --inspect are two things"),
        (["--inspect", "a", "--train-only"], "--train-only and --inspect are two things"),
        (["--inspect", "a", "--inspect-out", "/dev/null/x"], "--inspect-out /dev/null/x cannot be"),
        (["--inspect-out", "x"], "--inspect-out is for --inspect TEXT"),
    ],
)
def test_mistakes_are_named(
    run: Path, flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = cli.main([str(run), *flags])
    except SystemExit as stop:
        status = stop.code  # type: ignore[assignment]
    shown = capsys.readouterr()
    assert (status, shown.out) == (2, "")
    assert said in shown.err


TEXT = "abcdefghijk\nabc"
"""15 tokens, four more than the context."""


@pytest.mark.parametrize("variant", ["dense", "moe"])
def test_inspect_writes_what_inspect_tokens_finds(
    run: Path, variant: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "look"
    asked = [str(run), "--inspect", TEXT, "--model", variant, "--inspect-out", str(folder)]
    assert cli.main(asked) == 0
    files = sorted(folder.iterdir())
    assert capsys.readouterr().out.splitlines() == [str(file) for file in files]
    assert [file.name for file in files] == ["attention.npz", "heads.csv", "routing.csv"]
    model = tinygpt.load(run / variant).model
    ids = TOKENIZER.encode(TEXT[-11:])
    expected = tinygpt.inspect_tokens(model, ids)
    with np.load(folder / "attention.npz", allow_pickle=False) as found:
        assert found["attention"].dtype == np.float32
        np.testing.assert_array_equal(found["attention"], expected.attention)
        assert "".join(found["tokens"]) == TEXT[-11:]
        assert found["ids"].tolist() == ids
        assert {*found.files} >= {"router", "choice"} or variant == "dense"
        if variant == "moe":
            np.testing.assert_array_equal(found["router"], expected.router)
            np.testing.assert_array_equal(found["choice"], expected.choice)
    rows = (folder / "heads.csv").read_text().splitlines()
    assert rows[0] == "layer,head,entropy,distance,previous,self,first,duplicate,induction"
    assert [row[:4] for row in rows[1:]] == ["0,0,", "0,1,", "1,0,", "1,1,", "2,0,", "2,1,"]
    assert len((folder / "routing.csv").read_text().splitlines()) == 1 + 33 * (variant == "moe")


@pytest.mark.parametrize("variant", ["dense", "moe"])
def test_inspect_as_json(run: Path, variant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([str(run / variant), "--inspect", TEXT, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    checkpoint = tinygpt.load(run / variant)
    ids = TOKENIZER.encode(TEXT[-11:])
    expected = tinygpt.inspect_tokens(checkpoint.model, ids)
    said = {name: found[name] for name in ("checkpoint", "variant", "step", "text", "start")}
    assert said == {
        "checkpoint": str(checkpoint.path),
        "variant": variant,
        "step": 7,
        "text": TEXT,
        "start": 4,
    }
    assert (found["total"], "".join(found["tokens"])) == (15, TEXT[-11:])
    loss = torch.nn.functional.cross_entropy(expected.logits[:-1], torch.tensor(ids[1:]))
    assert found["loss"] == pytest.approx(float(loss))
    assert found["surprisal"][0] is None
    statistics = heads.statistics(expected.attention) | heads.repeated(checkpoint.model, 5)
    assert found["statistics"] == {name: table.tolist() for name, table in statistics.items()}
    assert found["chance"] == uniform_baseline(11) | repeated_baseline(5)
    if variant == "dense":
        assert (found["router"], found["choice"]) == (None, None)
    else:
        assert expected.router is not None
        assert expected.choice is not None
        assert found["router"] == expected.router.tolist()
        assert found["choice"] == expected.choice.tolist()


def test_inspect_one_token_of_stdin(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a"))
    assert cli.main([str(run), "--inspect", "-", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["tokens"], found["loss"]) == (["a"], None)
    assert found["statistics"]["previous"] == [[None, None]] * 3
    assert found["statistics"]["self"] == [[1.0, 1.0]] * 3
    assert str(found["statistics"]["entropy"]) == str([[0.0, 0.0]] * 3)  # and not -0.0
    assert found["chance"]["first"] is None


def test_inspect_as_a_table(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([str(run / "moe"), "--inspect", TEXT]) == 0
    title, _, names, *rows = capsys.readouterr().out.splitlines()
    assert title.startswith("moe step 7: tokens 4 to 14 of 15, loss ")
    assert names[:50] == "layer head   entropy  distance  previous      self"
    assert names[50:] == "     first duplicate induction"
    model = tinygpt.load(run / "moe").model
    found = tinygpt.inspect_tokens(model, TOKENIZER.encode(TEXT[-11:]))
    statistics = heads.statistics(found.attention) | heads.repeated(model, 5)
    numbers = "".join(f"{float(table[2, 1]):10.3f}" for table in statistics.values())
    assert rows[5] == f"    2    1{numbers}"
    assert rows[6][:60] == " all alike     1.591     2.500     0.202     0.275     0.202"
    assert rows[6][60:] == "     0.129     0.129"
    assert rows[8] == "layer  expert 0  expert 1  expert 2  expert 3"
    assert found.choice is not None
    counts = np.bincount(found.choice[0].flatten(), minlength=4)
    assert rows[9] == "    0" + "".join(f"{count / 11:10.1%}" for count in counts)
    assert len(rows) == 12


@pytest.mark.parametrize("command", ["--generate", "--inspect"])
def test_model_beside_a_variant_or_a_step_is_the_same_one_or_refused(
    run: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for where in ("dense", "dense/step-00000003"):
        assert cli.main([str(run / where), command, "a", "--model", "dense"]) == 0
        capsys.readouterr()
        assert cli.main([str(run / where), command, "a", "--model", "moe"]) == 2
        said = capsys.readouterr().err
        assert said == f"--model moe: {run / where} is of dense, so leave --model out\n"
    shutil.rmtree(run / "moe")
    assert cli.main([str(run), command, "a", "--model", "moe"]) == 2
    assert capsys.readouterr().err == f"--model moe: {run} has no checkpoint of it\n"


def test_no_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--out", str(tmp_path), "--generate", "a"]) == 2
    assert f"there is no run in {tmp_path}" in capsys.readouterr().err
    assert cli.main(["two", "--out", str(tmp_path), "--generate", "a"]) == 2
    assert "there is no run 'two'" in capsys.readouterr().err


def test_a_reader_that_has_read_enough_is_no_error(run: Path) -> None:
    words = [str(run), "--generate", "abc", "--max-new-tokens", "5000"]
    with subprocess.Popen(
        [sys.executable, "-m", "tinygpt_tui", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        assert writer.stdout.read(3)
        writer.stdout.close()
        assert (writer.wait(60), writer.stderr.read()) == (0, b"")
