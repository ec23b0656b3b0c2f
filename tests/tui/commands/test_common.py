"""What --generate and --inspect share: which checkpoint and which text."""

import io
import shutil
import sys
from pathlib import Path

import pytest

from tinygpt_tui import cli


def test_a_prompt_that_is_no_text_is_refused(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"ab\xffc"), "utf-8"))
    assert cli.main(["one", "--out", str(run.parent), "--generate", "-"]) == 2
    said = capsys.readouterr().err
    assert said == "stdin is not UTF-8 text (invalid byte 0xff at byte 2): pipe in UTF-8\n"


@pytest.mark.parametrize("command", ["--generate", "--inspect"])
def test_model_beside_a_variant_or_a_step_is_the_same_one_or_refused(
    run: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for where in ("dense", "dense/step-00000003"):
        assert cli.main([str(run / where), command, "a", "--model", "dense"]) == 0
        capsys.readouterr()
        assert cli.main([str(run / where), command, "a", "--model", "moe"]) == 2
        said = capsys.readouterr().err
        assert said == f"--model moe: {run / where} is a dense checkpoint; omit --model\n"
    shutil.rmtree(run / "moe")
    assert cli.main([str(run), command, "a", "--model", "moe"]) == 2
    assert capsys.readouterr().err == f"--model moe: {run} has no such checkpoint\n"


def test_no_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--out", str(tmp_path), "--generate", "a"]) == 2
    assert f"there is no run in {tmp_path}" in capsys.readouterr().err
    assert cli.main(["two", "--out", str(tmp_path), "--generate", "a"]) == 2
    assert "there is no run 'two'" in capsys.readouterr().err
