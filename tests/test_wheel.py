"""The wheel: its contents, and that it works without the checkout."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

PACKAGES = ("tinygpt", "tinygpt_tui")
SUFFIXES = {".py", ".tcss", ".typed", ".json", ".html", ".css", ".js"}
TINY = (
    *("--train-only", "--preset", "micro", "--steps", "2", "--device", "cpu", "--json"),
    *("--gpt.layers", "1", "--gpt.heads", "1", "--gpt.width", "4", "--gpt.context", "5"),
    *("--train.batch", "3", "--name", "tiny"),
)


MISLEADING = {"PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_REQUIRE_VIRTUALENV"}
OTHERS = [
    place
    for place in os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if place and not Path(place).resolve().is_relative_to(ROOT)
]
"""What PYTHONPATH names beside the checkout: dependencies may come through it."""


def call(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed; returns its stdout."""
    # Without the variables that would make pip install elsewhere, or show the checkout.
    environment = {key: text for key, text in os.environ.items() if key not in MISLEADING}
    environment["PYTHONPATH"] = os.pathsep.join(OTHERS)
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built with the installed build backend."""
    pytest.importorskip("pip", reason="this environment has no pip, as those of uv")
    out = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index")
    call(*pip, "--quiet", "--wheel-dir", out, ROOT, cwd=out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bin_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel in an environment that borrows the dependencies of this one.

    A .pth file adds the folders with the dependencies. Python does not read the .pth files in a
    folder added like this, so an editable install of the checkout stays invisible.
    """
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, symlinks=True)
    scripts = home / "bin"
    pip = (sys.executable, "-m", "pip", "--python", scripts / "python", "install", "--quiet")
    call(*pip, "--no-deps", "--no-index", wheel, cwd=home)
    (library,) = home.glob("lib/python*/site-packages")
    borrowed = [place for place in sys.path if place.endswith("-packages")]
    (library / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    return scripts


def test_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    sources = {"trainer.py"}
    for package in PACKAGES:
        paths = (path for path in (ROOT / package).rglob("*") if path.suffix in SUFFIXES)
        sources |= {path.relative_to(ROOT).as_posix() for path in paths}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    information = {name for name in names if ".dist-info/" in name}
    assert names - information == sources
    assert {name.partition(".dist-info/")[2] for name in information} == {
        *("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"),
    }


def test_wheel_is_found_outside_the_checkout(bin_folder: Path, tmp_path: Path) -> None:
    script = "import tinygpt, tinygpt_tui, trainer; print(tinygpt.__file__, trainer.__file__)"
    for path in call(bin_folder / "python", "-c", script, cwd=tmp_path).split():
        assert Path(path).is_relative_to(bin_folder.parent)


def test_installed_command_helps(bin_folder: Path, tmp_path: Path) -> None:
    assert "--train-only" in call(bin_folder / "tinygpt-tui", "--help", cwd=tmp_path)


def test_installed_command_trains(bin_folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "corpus.txt"
    data.write_text("JULIET:\nO Romeo, Romeo! wherefore art thou Romeo?\n\n" * 7)
    out = call(bin_folder / "tinygpt-tui", *TINY, "--data", data, cwd=tmp_path)
    report = json.loads(out[out.index("{") :])
    assert set(report["models"]) == {"dense", "moe"}
    run = tmp_path / "checkpoints" / "tiny"
    assert Path(tmp_path, report["run"]) == run
    left = {path.name for path in run.iterdir()}
    assert {"run.toml", "tokenizer.json", "metrics.jsonl", "status.json"} <= left
    for variant in ("dense", "moe"):
        assert (run / variant / "step-00000002" / "model.safetensors").is_file()
