"""``tinygpt-tui --generate --prompts``: many texts as JSON lines."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

import tinygpt
from tests.helpers.redirected import APP
from tests.helpers.waiting import PATIENCE, running
from tinygpt.generation.params import SamplingParams
from tinygpt_tui import cli
from tinygpt_tui.commands import batch, common

SHORT = ("--max-new-tokens", "11")


def lines(capsys: pytest.CaptureFixture[str], *asked: str) -> list[dict[str, Any]]:
    assert cli.main(asked) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def single(capsys: pytest.CaptureFixture[str], *asked: str) -> dict[str, Any]:
    (found,) = lines(capsys, *asked, "--json")
    return found


def test_each_text_is_that_of_a_single_generate_with_its_seed(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("abc\n\nd\r\nabc")
    settings = (*SHORT, "--temperature", "0.9", "--top-k", "5", "--stop", "kk")
    asked = [str(run), "--prompts", str(file), "--samples", "2", "--seed", "41", *settings]
    found = lines(capsys, *asked)
    assert [(text["index"], text["sample"], text["prompt"]) for text in found] == [
        *((0, 0, "abc"), (0, 1, "abc")),
        *((1, 0, "d"), (1, 1, "d")),
        *((2, 0, "abc"), (2, 1, "abc")),
    ]
    assert [text["sampling"]["seed"] for text in found] == [41, 42, 43, 44, 45, 46]
    for text in found:
        seed = str(text["sampling"]["seed"])
        same = single(capsys, str(run), "--generate", text["prompt"], "--seed", seed, *settings)
        assert text["token_count"] == len(same.pop("tokens"))
        assert same.pop("tokens_per_second") > 0
        assert {key: text[key] for key in same} == same
    assert len({text["text"] for text in found}) > 3
    assert lines(capsys, *asked, "--generate", "--json") == found


def test_the_mean_loss_is_that_of_the_raw_distribution(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Computed apart, with one forward pass over prompt and text, which fit in the context."""
    settings = ("--seed", "3", "--top-k", "2", "--temperature", "0.3", "--max-new-tokens", "3")
    (found,) = lines(capsys, str(run), "--generate", "abc", "--samples", "1", *settings)
    checkpoint = tinygpt.load(found["checkpoint"])
    assert checkpoint.model.config.context >= 6
    ids = checkpoint.tokenizer.encode("abc" + found["text"])
    logs = tinygpt.inspect_tokens(checkpoint.model, ids).logits.double().log_softmax(-1)
    losses = [-float(logs[at - 1, ids[at]]) for at in range(3, 6)]
    assert found["mean_surprisal"] == pytest.approx(sum(losses) / 3, rel=1e-4)


def test_json_prompts_have_settings_of_their_own(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "prompts.jsonl"
    objects: list[dict[str, Any]] = [
        {"prompt": "ab", "id": "first", "seed": 7, "max_new_tokens": 5},
        {"prompt": "", "id": 2, "greedy": True, "stop": ["zz"]},
        {"prompt": "c", "temperature": 0.5, "stop": "kk", "top_k": None},
        {"prompt": "c", "stop": [*"abcdefghijklm"]},
    ]
    file.write_text("\n".join(map(json.dumps, objects)) + "\n\n")
    asked = ("--model", "moe", "--samples", "2", "--seed", "100", "--top-k", "4", *SHORT)
    found = lines(capsys, str(run), "--prompts", str(file), *asked)
    assert [text["id"] for text in found] == ["first", "first", 2, 2, *[None] * 4]
    assert [text["sampling"]["seed"] for text in found] == [7, 8, *range(102, 108)]
    ends = [(text["finish_reason"], text["token_count"]) for text in found]
    assert ends[:2] == [("length", 5)] * 2
    assert ends[6:] == [("stop", 1)] * 2
    assert found[2]["text"] == found[3]["text"]
    assert {text["variant"] for text in found} == {"moe"}
    assert {text["sampling"]["top_k"] for text in found} == {4}
    assert found[4]["sampling"]["stop"] == ["kk"]
    own = {**found[4]["sampling"], "stop": ("kk",)}
    checkpoint = tinygpt.load(run / "moe")
    text = tinygpt.generate(checkpoint.model, checkpoint.tokenizer, "c", SamplingParams(**own))
    assert found[4]["text"] == text


def test_without_a_seed_the_seeds_used_are_written(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (str(run), "--generate", "a", "--samples", "2", *SHORT)
    first, second = lines(capsys, *asked)
    seed = first["sampling"]["seed"]
    assert second["sampling"]["seed"] == seed + 1
    assert lines(capsys, *asked, "--seed", str(seed)) == [first, second]


def test_the_model_is_loaded_once_and_stdin_is_lines(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load = Mock(wraps=tinygpt.load)
    monkeypatch.setattr(tinygpt, "load", load)
    monkeypatch.setattr(sys, "stdin", io.StringIO("a\nb\nc\n"))
    found = lines(capsys, str(run), "--prompts", "-", "--samples", "3", *SHORT)
    assert [text["prompt"] for text in found] == [*"aaabbbccc"]
    assert load.call_count == 1


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("p.txt", "", "{file} has no prompt: write one per line"),
        ("p.txt", "\n\r\n", "{file} has no prompt: write one per line"),
        ("p.txt", "a\nbXc\n", "{file} line 2: the model does not know 'X' (U+0058, "),
        ("p.txt", b"a\xff", "{file} is not UTF-8 text (invalid byte 0xff at byte 1): save it"),
        ("p.jsonl", '{"prompt": "a"}\n{', "{file} line 2 is not JSON: "),
        ("p.jsonl", "[" * 100_000, "{file} line 1 is not JSON: "),
        ("p.jsonl", '"a"', '{file} line 1 is not an object with a text as "prompt"'),
        ("p.jsonl", '{"text": "a"}', '{file} line 1 is not an object with a text as "prompt"'),
        ("p.jsonl", '{"prompt": 3}', '{file} line 1 is not an object with a text as "prompt"'),
        ("p.jsonl", '{"prompt": "a", "topk": 3}', "an unknown key 'topk'; did you mean 'top_k'?"),
        ("p.jsonl", '{"prompt": "a", "top_p": 2}', "{file} line 1: top_p 2.0 is out of range: it"),
        ("p.jsonl", '{"prompt": "a", "seed": "x"}', "{file} line 1: seed 'x' is not a whole"),
        ("p.jsonl", '{"prompt": "a", "stop": [3]}', "{file} line 1: --stop must be text of"),
        ("p.jsonl", '{"prompt": "a", "stop": 3}', "{file} line 1: invalid decoding settings"),
        ("p.jsonl", '{"prompt": "a", "id": []}', "{file} line 1: its id is neither text nor"),
    ],
)
def test_mistakes_in_the_file_are_named_before_the_first_text(
    run: Path, name: str, text: str | bytes, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = run.parent / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert cli.main([str(run), "--prompts", str(file), *SHORT]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("--prompts ")
    assert says.format(file=file) in said.err


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("--prompts", "none.txt"), "--prompts none.txt cannot be read: No such file or directory"),
        (("--prompts", "."), "--prompts . cannot be read: Is a directory"),
        (("--generate",), "--generate takes a text to continue: PROMPT, - for stdin, or --prompts"),
        (("--generate", "a", "--prompts", "x"), "--generate 'a' and --prompts exclude each other"),
        (("--generate", "a", "--samples", "0"), "--samples '0' is not a whole number from 1 to"),
        (("--generate", "a", "--samples", "9" * 30), "is not a whole number from 1 to 1,000,000"),
        (("--samples", "2"), "--samples is for --generate PROMPT"),
        (("--prompts", "x", "--inspect", "a"), "--generate and --inspect exclude each other"),
        (("--prompts", "x", "--steps", "5"), "--steps has no effect with --generate"),
    ],
)
def test_mistakes_on_the_command_line(
    run: Path, asked: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = cli.main([str(run), *asked])
    except SystemExit as stop:
        status = stop.code  # type: ignore[assignment]
    said = capsys.readouterr()
    assert (status, said.out, said.err.count("\n")) == (2, "", 1)
    assert says in said.err


def test_a_file_that_is_too_large_is_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "prompts.txt"
    with file.open("wb") as opened:
        opened.truncate(65 << 20)
    assert cli.main([str(run), "--prompts", str(file)]) == 2
    assert "cannot be read: it is larger than 65,536 KiB" in capsys.readouterr().err
    monkeypatch.setattr(common, "LONGEST_STDIN", 3)
    monkeypatch.setattr(sys, "stdin", io.StringIO("abcd"))
    with pytest.raises(tinygpt.TinyGPTError, match="stdin is longer than 3 characters"):
        batch.read_prompts("-", SamplingParams())


def test_texts_are_written_as_they_are_made(run: Path, tmp_path: Path) -> None:
    """A batch that is interrupted has written whole lines, and says nothing."""
    file = tmp_path / "prompts.txt"
    file.write_text("abc\n")
    words = [*APP, str(run), "--prompts", str(file), "--samples", "900000"]
    with running(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        assert json.loads(writer.stdout.readline())["sample"] == 0
        writer.send_signal(2)
        rest = writer.stdout.read()
        assert (writer.wait(PATIENCE), writer.stderr.read()) == (130, b"")
        assert all(json.loads(line)["index"] == 0 for line in rest.splitlines())
