"""``tinygpt-tui --inspect``: a table, JSON or files."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import tinygpt
from tests.helpers.checkpoints import TOKENIZER
from tests.helpers.paths import ROOT
from tinygpt.analysis import heads
from tinygpt.analysis.attention_maps import repeated_baseline, uniform_baseline
from tinygpt_tui import cli

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
        "step": {"dense": 3, "moe": 7}[variant],
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


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_follows_the_text_and_not_the_context_in_the_file(run: Path) -> None:
    """65,536 there once asked for 103 GB."""
    file = run / "moe" / "step-00000007" / "meta.json"
    meta = json.loads(file.read_text())
    meta["model"]["context"] = 65_536
    file.write_text(json.dumps(meta))
    code = (
        "import pathlib, sys; from tinygpt_tui import cli; code = cli.main(sys.argv[1:]); "
        "print(pathlib.Path('/proc/self/status').read_text()); sys.exit(code)"
    )
    words = [sys.executable, "-c", code, str(run / "moe"), "--inspect", TEXT[:7]]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    peak = re.search(r"VmHWM:\s*(\d+) kB", done.stdout)
    assert peak
    assert int(peak[1]) < 1_000_000  # torch alone takes a third of that


def test_inspect_as_a_table(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([str(run / "moe"), "--inspect", TEXT]) == 0
    title, _, names, *rows = capsys.readouterr().out.splitlines()
    assert title.startswith("moe step 7 (best, val 4.5000): tokens 4 to 14 of 15, loss ")
    assert names[:50] == "layer head   entropy  distance  previous      self"
    assert names[50:] == "     first duplicate induction"
    model = tinygpt.load(run / "moe").model
    found = tinygpt.inspect_tokens(model, TOKENIZER.encode(TEXT[-11:]))
    statistics = heads.statistics(found.attention) | heads.repeated(model, 5)
    numbers = "".join(f"{float(table[2, 1]):10.3f}" for table in statistics.values())
    assert rows[5] == f"    2    1{numbers}"
    assert rows[6][:60] == "   uniform     1.591     2.500     0.202     0.275     0.202"
    assert rows[6][60:] == "     0.129     0.129"
    assert rows[8] == "layer  expert 0  expert 1  expert 2  expert 3"
    assert found.choice is not None
    counts = np.bincount(found.choice[0].flatten(), minlength=4)
    assert rows[9] == "    0" + "".join(f"{count / 11:10.1%}" for count in counts)
    assert len(rows) == 12


def test_the_files_are_named_without_what_a_terminal_obeys(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a\x1b[2J\x9b\u202e\udcffb"
    assert cli.main([str(run), "--inspect", "abc", "--inspect-out", str(folder)]) == 0
    assert (folder / "heads.csv").is_file()
    said = capsys.readouterr().out.splitlines()
    assert said[1] == f"{tmp_path}/a␛[2J���b/heads.csv"


def test_paths_are_printed_whole(
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(run.parent)
    assert cli.main([run.name, "--inspect", "abc", "--inspect-out", "look"]) == 0
    folder = run.parent / "look"
    assert capsys.readouterr().out.splitlines() == [str(file) for file in sorted(folder.iterdir())]
    assert cli.main(["./" + run.name, "--inspect", "abc", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["checkpoint"].startswith(f"{run}/dense/step-")
