"""Which run a name means: what is a run is taken, and what cannot be told is said."""

from pathlib import Path

import pytest

from tests.helpers.groups import make_group
from tests.helpers.permissions import closed, public_folder
from tests.helpers.scenes import make_run
from tinygpt.errors import RunError
from tinygpt.run.lookup import find_run, find_run_or_group, run_of


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder checkpoints/ in the current one, with the run "a" and two empty checkpoints."""
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "checkpoints"
    make_run(out, "a").close()
    for step in ("step-00000003", "step-00000007"):
        (out / "a" / "moe" / step).mkdir(parents=True)
    return out


def test_by_name_path_variant_and_step(out: Path) -> None:
    run = out / "a"
    for path in (run, run / "moe", run / "moe" / "step-00000003"):
        assert find_run(str(path), out) == path
        assert run_of(path) == run
    assert find_run("a", out) == run
    assert find_run("a/moe", out) == run / "moe"
    for path in (run / "dense", run / "control", run / "moe" / "notes", out):
        assert run_of(path) is None


def test_a_run_or_a_group(out: Path) -> None:
    make_group(out, {}, 2)
    for name in ("g", "checkpoints/g", str(out / "g")):
        assert find_run_or_group(name, out).resolve() == out / "g"
    assert find_run_or_group("g-s1", out) == out / "g-s1"
    assert find_run_or_group("a/moe", out) == out / "a"
    for name in ("b", "", " "):
        with pytest.raises(RunError, match="there is no run"):
            find_run_or_group(name, out)


@pytest.mark.parametrize("name", ["b", "", " ", "a/dense", "a/moe/step-00000004"])
def test_what_is_nowhere(out: Path, name: str) -> None:
    with pytest.raises(RunError, match=r"there is no run .*, neither as a path nor in "):
        find_run(name, out)


def test_a_group_is_no_run(out: Path) -> None:
    (out / "g").mkdir()
    (out / "g" / "group.toml").touch()
    with pytest.raises(RunError, match=r"/g is a group of runs: name one of them$"):
        find_run("g", out)


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_is_no_run_hides_none(out: Path, kind: str) -> None:
    for name in ("a", "b"):
        path = Path(name)
        match kind:
            case "folder":
                path.mkdir()
                (path / "notes.txt").touch()
            case "file":
                path.touch()
            case "dangling link":
                path.symlink_to("nowhere")
    assert find_run("a", out) == out / "a"
    with pytest.raises(RunError, match=r"no run 'b'" if "link" in kind else r"b is not a run"):
        find_run("b", out)


def test_a_copy_of_the_models_alone_is_accepted(out: Path) -> None:
    copy = Path("copied")
    (copy / "moe" / "step-00000003").mkdir(parents=True)
    for path in (copy, copy / "moe", copy / "moe" / "step-00000003"):
        assert find_run(str(path), out) == path
        assert run_of(path) is None


def test_a_closed_folder_is_named_and_hides_no_run(out: Path) -> None:
    del out
    with public_folder() as folder:
        make_run(folder / "runs", "a").close()
        (folder / "a").mkdir()
        with closed(folder / "a"):
            with pytest.raises(RunError) as error:
                find_run(str(folder / "a"), folder / "b")
            assert str(error.value) == f"cannot look into {folder / 'a'}: Permission denied"
            with pytest.raises(RunError, match=r"cannot look into .*: Permission denied"):
                find_run(str(folder / "a" / "moe"), folder / "b")
        with closed(folder / "runs"), pytest.raises(RunError, match="Permission denied"):
            find_run("a", folder / "runs")


def test_a_name_that_is_too_long(out: Path) -> None:
    with pytest.raises(RunError, match=r"cannot look into x{300}: File name too long"):
        find_run("x" * 300, out)
