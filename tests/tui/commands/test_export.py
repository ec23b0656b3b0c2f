"""``tinygpt-tui RUN --export hf|csv DIR``."""

import json
from pathlib import Path

import pytest

from tinygpt_tui import cli


def exported(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    try:
        status = cli.main(words)
    except SystemExit as stop:
        status = stop.code  # type: ignore[assignment]
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.mark.parametrize(
    ("where", "flags", "says"),
    [
        ("", [], "exported dense step 3 (best), validation loss 1.5000"),
        ("", ["--model", "moe"], "exported moe step 7 (best), validation loss 4.5000"),
        ("", ["--step", "newest"], "exported dense step 7 (newest), validation loss 3.5000"),
        ("dense/step-00000007", [], "exported dense step 7, validation loss 3.5000"),
    ],
)
def test_which_model_is_exported(
    run: Path, where: str, flags: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = run.parent / "out"
    status, out, err = exported(capsys, str(run / where), "--export", "hf", str(target), *flags)
    assert (status, err) == (0, f"{says}\n")
    assert out.splitlines() == sorted(str(path) for path in target.iterdir())
    experts = json.loads((target / "config.json").read_text())["num_experts"]
    assert experts == (4 if "moe" in says else 0)


def test_as_json(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = run.parent / "out"
    status, out, _ = exported(capsys, str(run), "--export", "hf", str(target), "--json")
    found = json.loads(out)
    assert status == 0
    assert (found["variant"], found["step"], found["chosen_as"]) == ("dense", 3, "best")
    assert found["files"] == sorted(str(path) for path in target.iterdir())
    status, out, _ = exported(capsys, str(run / "moe"), "--export", "csv", f"{target}2", "--json")
    assert json.loads(out)["run"] == str(run)


def test_metrics(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = run.parent / "out"
    status, out, err = exported(capsys, str(run), "--export", "csv", str(target))
    assert (status, err) == (0, "")
    assert set(out.splitlines()) == {str(path) for path in target.iterdir()}
    assert (target / "start.csv").read_text().startswith("model,step,")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["onnx", "out"], "--export 'onnx' is not valid: it takes hf or csv, then a folder"),
        (["hff", "out"], "did you mean 'hf'?"),
        (["hf"], "--export: expected 2 arguments"),
        (["hf", " "], "--export hf ' ' is no folder: name a new one"),
        (["csv", "out", "--model", "moe"], "--model has no effect with --export csv"),
        (["hf", "out", "--top-k", "3"], "--top-k has no effect with --export hf"),
        (["hf", "out", "--step", "5"], "has no checkpoint of step 5: the nearest is"),
        (["hf", "out", "--score", "x"], "--score and --export exclude each other"),
        (["hf", "out", "--ascii"], "--ascii is for the interface: it has no effect with --export"),
    ],
)
def test_mistakes(
    run: Path,
    words: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(run.parent)
    status, out, err = exported(capsys, str(run), "--export", *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert says in err
    assert not (run.parent / "out").exists()
