"""What a group of runs consists of, and its group.toml."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.groups import make_group
from tinygpt.config import dotted_fields
from tinygpt.errors import RunError, TinyGPTError
from tinygpt.presets import Scalar
from tinygpt.run import RunWriter
from tinygpt.run.group import (
    GROUP_TOML,
    Group,
    Member,
    Place,
    hold_group,
    is_group,
    is_group_trained,
    parse_grid,
    place_of,
    read_group,
    same_settings,
    short_name,
    write_group,
)
from tinygpt.run.listing import list_runs


def group(grid: dict[str, list[Scalar]] | None = None, **given: Any) -> Group:
    return Group(**{"name": "g", "settings": {}, "grid": grid or {}, **given})


def test_the_members_are_the_product_for_one_seed_after_another() -> None:
    grid = parse_grid(["optim.matrix-learning-rate=0.01,2e-2", "gpt.layers=2,3"])
    made = group(grid, seeds=2, settings={"seed": 5, "steps": 3})
    product = list(itertools.product((0.01, 0.02), (2, 3)))
    assert made.members == [
        Member(
            name=f"g-mlr{rate}-layers{layers}-s{seed}",
            seed=seed,
            point={"optim.matrix_learning_rate": rate, "gpt.layers": layers},
        )
        for seed in (5, 6)
        for rate, layers in product
    ]
    more = group(grid, seeds=3, settings={"seed": 5, "steps": 3})
    assert more.members[:8] == made.members


def test_names_of_members() -> None:
    def names(grid: dict[str, list[Scalar]] | None = None, **given: Any) -> list[str]:
        return [member.name for member in group(grid, **given).members]

    assert names(seeds=3) == ["g-s1", "g-s2", "g-s3"]
    assert names({"train.compile": ["true", "no"]}) == ["g-compiletrue", "g-compilefalse"]
    assert names({"data": ["a.txt", "b/c.txt"]}) == ["g-data-1", "g-data-2"]
    assert names({"train.sample_prompt": ["A", "a"]}) == ["g-sp-1", "g-sp-2"]
    three: dict[str, list[Scalar]] = {"moe.top_k": [1], "optim.clip": [1], "optim.final": [0.05]}
    assert names(three) == ["g-tk1-clip1.0-final0.05"]


def test_short_names_are_distinct() -> None:
    names = [short_name(name) for name, _ in dotted_fields()]
    assert len({*names}) == len(names)


def test_a_group_is_read_as_it_was_written(tmp_path: Path) -> None:
    settings: dict[str, Scalar] = {"steps": 3, "gpt.width": 32, "data": "/a b\n", "minutes": 0.5}
    grid: dict[str, list[Scalar]] = {"train.compile": [True, False], "optim.clip": [1, 0.5]}
    for seeds in (None, 4):
        made = group(grid, seeds=seeds, settings=settings)
        assert not is_group(tmp_path / "g")
        (tmp_path / "g").mkdir()
        write_group(tmp_path / "g", made, ["tinygpt-tui", "--grid", "a\udcffb"])
        assert is_group(tmp_path / "g")
        assert read_group(tmp_path / "g") == made
        assert list_runs(tmp_path) == []
        (tmp_path / "g" / GROUP_TOML).unlink()
        (tmp_path / "g").rmdir()


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["gpt.width"], "--grid 'gpt.width' is not valid: write KEY=A,B,C, for example"),
        (["gpt.width="], "--grid 'gpt.width=' is not valid"),
        (["gpt.width=3,,4"], "--grid 'gpt.width=3,,4' is not valid"),
        (["gpt.widht=3"], "--grid gpt.widht=3: unknown setting 'gpt.widht'; did you mean 'gpt.wid"),
        (["gpt.width=3", "gpt.width=4"], "--grid gpt.width is given twice: write all its values"),
    ],
)
def test_a_grid_that_is_no_grid(texts: list[str], says: str) -> None:
    with pytest.raises(TinyGPTError) as caught:
        parse_grid(texts)
    assert str(caught.value).startswith(says)


def test_keys_of_a_grid_are_written_in_several_ways() -> None:
    expected = {"train.snapshots": ["3", "5"]}
    for key in ("train.snapshots", "--train.snapshots", "train.film"):
        assert parse_grid([f"{key}=3, 5"]) == expected


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"grid": {"gpt.width": ["x"]}}, "--gpt.width 'x' is not a whole number"),
        ({"grid": {"gpt.width": [130]}}, "--gpt.width 130 is not a multiple of --gpt.heads 4"),
        ({"grid": {"gpt.width": ["64", 64]}}, "--grid gpt.width needs values, each of them once"),
        ({"grid": {"gpt.width": []}}, "--grid gpt.width needs values, each of them once"),
        ({"grid": {"seed": [1, 2]}}, "--grid seed is not possible: --seeds N takes N seeds"),
        ({"seeds": 0}, "--seeds 0 is out of range: it must be at least 1"),
        ({"seeds": 10_001}, "--seeds and --grid make 10,001 runs: 10,000 are possible"),
        ({"seeds": 2, "settings": {"seed": 2**63 - 1}}, "--seed 9223372036854775808 is out of"),
        ({"settings": {"gpt.width": -1}}, "--gpt.width -1 is out of range"),
        ({"name": "g" * 59, "seeds": 1}, "cannot name a run: it is longer than 60 characters"),
    ],
)
def test_a_group_that_cannot_be(given: dict[str, Any], says: str) -> None:
    with pytest.raises(TinyGPTError) as caught:
        group(**given)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("x", "group.toml is not that of a group"),
        ("name = 'g'", "group.toml is not that of a group: KeyError('settings')"),
        ("name = 'g'\nseeds = 'x'\n[settings]\n[grid]", "group.toml is not that of a group"),
        ("name = 'g'\nsettings = 3\n[grid]", "group.toml is not that of a group"),
        ("name = 'g'\n[settings]\n[grid]\nx = [3]", "group.toml is not that of a group"),
        ("name = 'g'\n[settings]\nsteps = 0\n[grid]", "group.toml: --steps 0 is out of range"),
        ("name = '../g'\nseeds = 2\n[settings]\n[grid]", "cannot name a run"),
    ],
)
def test_a_damaged_group_is_named(tmp_path: Path, toml: str, says: str) -> None:
    (tmp_path / GROUP_TOML).write_text(toml)
    with pytest.raises(TinyGPTError) as caught:
        read_group(tmp_path)
    assert str(tmp_path / GROUP_TOML) in str(caught.value)
    assert says in str(caught.value)
    with pytest.raises(TinyGPTError, match=r"cannot read .*group\.toml: No such file"):
        read_group(tmp_path / "none")


def test_settings_are_compared_by_what_they_mean() -> None:
    assert same_settings({"steps": "7"}, {"steps": 7, "gpt.width": 128})
    assert not same_settings({"steps": 7}, {"steps": 7, "gpt.width": 64})


def test_the_place_of_a_run_follows_from_its_settings(tmp_path: Path) -> None:
    made = group(parse_grid(["optim.clip=1,2", "moe.top_k=1,2"]), seeds=3)
    (tmp_path / "g").mkdir()
    write_group(tmp_path / "g", made, ["test"])
    config: dict[str, Any] = {"group": "g", "optim": {"clip": 2.0}, "moe": {"top_k": 1}, "seed": 2}
    place = Place("g", "g-clip2.0-tk1")
    assert place_of(tmp_path / "renamed", config) == place
    assert place_of(tmp_path / "x", {**config, "optim": {"clip": 3.0}}) is None
    assert place_of(tmp_path / "x", {**config, "group": "other"}) is None
    assert place_of(tmp_path / "x", {**config, "group": "../g"}) is None
    assert place_of(tmp_path / "x", {"optim": {"clip": 2.0}}) is None


def test_a_group_goes_on_between_its_runs_and_with_those_that_outlive_it(tmp_path: Path) -> None:
    make_group(tmp_path, {}, 2, done=1)
    path = tmp_path / "g"
    assert not is_group_trained(path)
    with hold_group(path):
        assert is_group_trained(path)
        with pytest.raises(RunError, match="another process is training the group"):
            hold_group(path).__enter__()
    assert not is_group_trained(path)
    with RunWriter.open(tmp_path / "g-s2"):
        assert is_group_trained(path)
    (path / GROUP_TOML).write_text("")
    assert not is_group_trained(path)
    assert not is_group_trained(tmp_path / "none")
