"""``tinygpt-tui --generate``: the continuation on stdout."""

import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

import tinygpt
from tests.helpers.checkpoints import snapshot
from tests.helpers.forked import FORKS
from tests.helpers.paths import ROOT
from tests.helpers.redirected import APP, redirected
from tests.helpers.scenes import make_run
from tests.helpers.trainer import environment
from tests.helpers.waiting import PATIENCE, running
from tinygpt import GPT, CharTokenizer, ModelConfig, SamplingParams, checkpoint
from tinygpt.data.tokenizer_file import save_tokenizer
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
        ("", "dense", 3),
        ("dense", "dense", 3),
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
    assert found["chosen_as"] == (None if "step" in where else "best")
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
    with running(
        [sys.executable, "-m", "tinygpt_tui", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        assert writer.stdout.read(3)
        writer.stdout.close()
        assert (writer.wait(PATIENCE), writer.stderr.read()) == (0, b"")


PEAKS = """
import resource, sys
from tinygpt_tui import cli
for count in ("4", "204"):
    assert cli.main([*sys.argv[1:], "--max-new-tokens", count]) == 0
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def test_the_distributions_of_tokens_are_not_kept(tmp_path: Path) -> None:
    """With a vocabulary of 30,001, those of 200 tokens took 70 MB."""
    tokenizer = CharTokenizer([chr(0x4E00 + i) for i in range(30_001)])
    config = ModelConfig(vocab_size=30_001, layers=1, heads=1, width=2, context=7)
    model = GPT(config)
    held = dataclasses.replace(snapshot(), config=config, weights=model.state_dict())
    make_run(tmp_path, "one").close()
    checkpoint.save(tmp_path / "one", held)
    save_tokenizer(tokenizer, tmp_path / "one" / "tokenizer.json")
    asked = [str(tmp_path / "one"), "--generate", "\u4e00", "--top-k", "9", "--top-p", "0.9"]
    for form in ([], ["--json"]):
        script = [sys.executable, *FORKS, "-c", PEAKS, *asked, *form]
        said = subprocess.run(script, cwd=ROOT, env=environment(), capture_output=True, check=True)
        first, second = map(int, said.stderr.split())
        assert second - first < 20_000, "KiB"


@pytest.mark.parametrize(
    "setting", [("--repetition-penalty", "1e-39"), ("--temperature", "1e39"), ("--top-k", "1" * 30)]
)
def test_extreme_settings_are_one_sentence_that_names_the_flag(
    run: Path, setting: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([str(run), "--generate", "abc", *setting]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(setting[0])
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    "locale",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_text_is_escaped_where_the_encoding_lacks_it(
    run: Path, tmp_path: Path, locale: dict[str, str]
) -> None:
    """The prompt is UTF-8 all the same."""
    characters = [chr(code) for code in range(0x4E00, 0x4E0D)]
    save_tokenizer(CharTokenizer(characters), run / "tokenizer.json")
    words = [*APP, str(run), "--generate", "-", "--seed", "1", "--max-new-tokens", "5"]
    prompt = "".join(characters[:3])
    done = redirected(words, "", tmp_path, text=prompt.encode(), variables=locale)
    assert (done.returncode, done.stderr) == (0, b"")
    text = text_of(run, prompt, seed=1, max_new_tokens=5)
    assert done.stdout == text.encode("ascii", "backslashreplace") + b"\n"


def test_json_is_ascii(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    characters = sorted(["\x07", "\x1b", "\x7f", "\x9b", "\u2028", "\u202e", *"abcdefé"])
    save_tokenizer(CharTokenizer(characters), run / "tokenizer.json")
    prompt = "a\x9b\u2028\x7f"
    for command in ("--generate", "--inspect"):
        assert cli.main([str(run), command, prompt, "--json"]) == 0
        said = capsys.readouterr().out
        assert said.isascii()
        assert said[:-1].isprintable()
        assert json.loads(said)["prompt" if command == "--generate" else "text"] == prompt
