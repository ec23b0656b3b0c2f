"""What a new run finds on this machine."""

import hashlib
from pathlib import Path

import pytest

from tinygpt.data import corpus
from tinygpt.gpus import Gpu
from tinygpt_tui.launch import cost, surroundings

GIB = 2**30


@pytest.fixture
def _known_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A short text that passes for tinyshakespeare, and an empty cache and current folder."""
    monkeypatch.setattr(corpus, "TINYSHAKESPEARE_SHA256", hashlib.sha256(b"a play").hexdigest())
    monkeypatch.setenv("TINYGPT_CACHE", str(tmp_path / "home" / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "cache").mkdir(parents=True)
    (tmp_path / "here" / "data").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")


@pytest.mark.usefixtures("_known_text")
def test_the_corpus_is_named_with_its_place(tmp_path: Path) -> None:
    file = "tinyshakespeare.txt"
    for folder, place in (
        (Path("data"), f"./data/{file}"),
        (Path(), f"./{file}"),
        (tmp_path / "home" / "cache", f"~/cache/{file}"),
    ):
        (folder / file).write_text("another text")
        assert surroundings.corpus_source().place != place
        (folder / file).write_text("a play")
        assert surroundings.corpus_source() == ("tinyshakespeare", place, "")


@pytest.mark.usefixtures("_known_text")
@pytest.mark.parametrize(
    ("installed", "says"),
    [(True, "an offline substitute: losses do not compare"), (False, "there is no corpus")],
)
def test_a_download_may_fail(
    monkeypatch: pytest.MonkeyPatch,
    installed: bool,  # noqa: FBT001
    says: str,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object() if installed else None)
    found = surroundings.corpus_source()
    assert found[:2] == ("tinyshakespeare", "a download (1.1 MB)")
    assert says in found.warning


@pytest.mark.parametrize(
    ("kind", "gpus", "says"),
    [
        ("cpu", [], "CPU, 5 cores"),
        ("cpu", ["H100"], "CPU, 5 cores (this PyTorch does not use the H100)"),
        ("mps", [], "Apple GPU; CPU, 5 cores"),
        ("cuda", ["H100"], "H100, 80 GiB"),
        ("cuda", ["H100", "H100"], "2 x H100, 80 GiB"),
        ("cuda", [], "GPU"),
    ],
)
def test_the_device_is_named(
    monkeypatch: pytest.MonkeyPatch, kind: str, gpus: list[str], says: str
) -> None:
    found = tuple(
        Gpu(name=name, percent=None, memory_used=None, memory_total=80 * GIB) for name in gpus
    )
    monkeypatch.setattr(cost, "likely_device", lambda: kind)
    monkeypatch.setattr(surroundings, "read_gpus", lambda: found)
    monkeypatch.setattr(surroundings, "usable_cpus", lambda: 5)
    assert surroundings.device_text() == says
