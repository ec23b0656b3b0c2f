"""``tinygpt-tui --generate``: the continuation on stdout."""

import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

import tinygpt
from tinygpt import SamplingParams
from tinygpt.fields import flag
from tinygpt_tui import cli


def text_of(path: Path, prompt: str, **given: object) -> str:
    found = tinygpt.load(path)
    params = SamplingParams(**given)  # type: ignore[arg-type]
    return tinygpt.generate(found.model, found.tokenizer, prompt, params)


def test_the_options_are_the_fields_of_sampling_params(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for field in dataclasses.fields(SamplingParams):
        assert flag(field.name) in shown
        if field.name not in ("seed", "stop") and not isinstance(field.default, bool):
            assert f"{field.metadata['help']} ({field.default:g})" in shown


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
