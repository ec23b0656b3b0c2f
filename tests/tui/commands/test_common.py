"""What --generate and --inspect share: which checkpoint and which text."""

import io
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from tests.helpers.checkpoints import alter_tensor
from tests.helpers.permissions import closed, public_folder
from tests.helpers.redirected import APP, redirected
from tinygpt_tui import cli


def test_a_prompt_that_is_no_text_is_refused(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"ab\xffc"), "utf-8"))
    assert cli.main(["one", "--out", str(run.parent), "--generate", "-"]) == 2
    said = capsys.readouterr().err
    assert said == "stdin is not UTF-8 text (invalid byte 0xff at byte 2): pipe in UTF-8\n"


@pytest.mark.parametrize("command", ["--generate", "--inspect"])
def test_a_stdin_that_never_ends_is_refused(
    run: Path,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with open("/dev/zero", encoding="utf-8") as endless:
        monkeypatch.setattr(sys, "stdin", endless)
        assert cli.main(["one", "--out", str(run.parent), command, "-"]) == 2
    said = capsys.readouterr().err
    assert said == "stdin is longer than 16,777,216 characters: pipe in less\n"


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


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], ("dense", 3, "best")),
        (["--step", "best", "--model", "moe"], ("moe", 7, "best")),
        (["--step", "newest"], ("dense", 7, "newest")),
        (["--step", "7", "--model", "dense"], ("dense", 7, None)),
    ],
)
def test_the_checkpoint_is_chosen(
    run: Path,
    flags: list[str],
    expected: tuple[str, int, str | None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    for command in ("--generate", "--inspect"):
        assert cli.main([str(run), command, "a", "--json", *flags]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["variant"], found["step"], found["chosen_as"]) == expected
    single = run / "dense" / "step-00000003"
    assert cli.main([str(single), "--inspect", "a", "--step", "best"]) == 2
    assert capsys.readouterr().err == f"--step best: {single} is a single checkpoint; omit --step\n"


@pytest.mark.filterwarnings("default")
def test_a_damaged_best_is_replaced_and_said(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "dense" / "step-00000003" / "model.safetensors").write_bytes(b"")
    for command in ("--generate", "--inspect"):
        assert cli.main([str(run / "dense"), command, "a", "--json"]) == 0
        shown = capsys.readouterr()
        assert json.loads(shown.out)["step"] == 7
        says = "warning: dense: step 3 cannot be used, so step 7 stands in: "
        assert shown.err.startswith(says)
        assert shown.err.count("\n") == 1


def test_no_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--out", str(tmp_path), "--generate", "a"]) == 2
    assert f"there is no run in {tmp_path}" in capsys.readouterr().err
    assert cli.main(["two", "--out", str(tmp_path), "--generate", "a"]) == 2
    assert "there is no run 'two'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--generate", "aXb"], "X"),
        (
            ["--generate", "a", "--top-p", "2"],
            "--top-p 2.0 is out of range: it must be at most 1",
        ),
        (
            ["--generate", "a", "--step", "last"],
            "--step 'last' is not valid: it takes best,",
        ),
        (["--inspect", "a", "--step", "-3"], "--step '-3' is not valid"),
        (["--inspect", "a", "--step", "1" * 5000], "is not valid"),
        (["--generate", "a", "--step", "99"], "one has no checkpoint of step 99: the nearest is"),
        (["--step", "best"], "--score FILE, --inspect TEXT and --export hf; a run's length is"),
        (["--train-only", "--step", "5"], "--step is for --generate PROMPT, --score FILE, --in"),
        (["--json"], "--json is for --train-only, --generate, --score, --inspect and --export"),
        (["--generate", "a", "--top-k", "many"], "--top-k 'many' is not a whole number"),
        (["--generate", "a", "--seed", "x"], "--seed 'x' is not a whole number"),
        (["--generate", "a", "--model", "both"], "--generate takes dense or moe"),
        (["--generate", "a", "--steps", "5"], "--steps has no effect with --generate"),
        (["--generate", "a", "--device", "abacus"], "abacus"),
        (["--generate", "a", "--train-only"], "give one of them"),
        (["--temperature", "0.5"], "--temperature is for --generate"),
        (["--inspect", "aXb"], "X"),
        (["--inspect", ""], "nothing to inspect"),
        (["--inspect", "a", "--model", "both"], "--inspect takes dense or moe"),
        (["--inspect", "a", "--top-k", "5"], "--top-k has no effect with --inspect"),
        (["--inspect", "a", "--generate", "a"], "--generate and --inspect exclude each other"),
        (["--inspect", "a", "--train-only"], "--train-only and --inspect exclude each other"),
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


@pytest.mark.parametrize(
    "asked", [("--generate", "abc"), ("--generate", "abc", "--json"), ("--inspect", "abc")]
)
def test_results_that_stdout_refuses(run: Path, tmp_path: Path, asked: tuple[str, ...]) -> None:
    done = redirected([*APP, str(run), *asked], ">/dev/full", tmp_path)
    said = b"the results cannot be written to stdout: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_closed_streams_are_empty_and_take_everything(run: Path, tmp_path: Path) -> None:
    done = redirected([*APP, str(run), "--generate", "-"], "<&- >&-", tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("shut", "name", "says"),
    [
        ("one", "one", "cannot look into {run}: Permission denied"),
        ("one/moe", "one/moe", "cannot look into {run}/moe: Permission denied"),
        ("one/moe/step-00000007", "one/moe", "cannot read {run}/moe/step-00000007/meta.json: "),
        (".", "one", "cannot look into {run}: Permission denied"),
        (".", None, "cannot list the runs in {out}: Permission denied"),
    ],
)
def test_what_is_closed_is_named(
    run: Path, shut: str, name: str | None, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with public_folder() as folder:
        out = Path(shutil.copytree(run.parent, folder / "runs"))
        for command in ("--generate", "--inspect"):
            with closed(out / shut):
                status = cli.main([*([name] if name else []), "--out", str(out), command, "a"])
            shown = capsys.readouterr()
            assert (status, shown.out, shown.err.count("\n")) == (2, "", 1)
            assert shown.err.startswith(says.format(run=out / "one", out=out))


def test_a_folder_in_the_way_hides_no_run(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one").mkdir()
    assert cli.main(["one", "--out", str(run.parent), "--inspect", "a"]) == 0


def test_damaged_weights_are_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run / "moe" / "step-00000007"
    alter_tensor(folder, "model.safetensors", "head", torch.full((13, 12), torch.nan))
    for command in ("--generate", "--inspect"):
        assert cli.main([str(run / "moe"), command, "a"]) == 2
        shown = capsys.readouterr()
        why = "is damaged: head has a number that is not finite"
        assert (shown.out, shown.err) == ("", f"{folder}/model.safetensors {why}\n")
