"""Which runs count as one where runs are compared."""

from pathlib import Path

from tests.helpers.groups import make_group
from tinygpt_tui.monitor.run_groups import SameSetting, by_setting, read_places, without_alone


def test_runs_that_differ_in_their_seed_alone_are_put_together(tmp_path: Path) -> None:
    names = make_group(tmp_path, {"optim.clip": [1.0, 2.0]}, seeds=2)
    assert names == ["g-clip1.0-s1", "g-clip2.0-s1", "g-clip1.0-s2", "g-clip2.0-s2"]
    one, two, three, four = (tmp_path / name for name in names)
    other = tmp_path / "other"
    places = read_places([one, two, three, four, other])
    assert by_setting([two, other, one, four, three], places) == [
        SameSetting("g-clip2.0", (two, four)),
        SameSetting("other", (other,)),
        SameSetting("g-clip1.0", (one, three)),
    ]
    assert by_setting([three], places) == [SameSetting("g-clip1.0-s2", (three,))]
    assert without_alone([one, two, three], one, places) == [one, two, three]
    assert without_alone([one, two, three], two, places) == [one, three]
    (tmp_path / "g" / "group.toml").unlink()
    assert set(read_places([one, two]).values()) == {None}, "the group was deleted"


def test_a_run_that_was_renamed_keeps_its_place(tmp_path: Path) -> None:
    first, second = make_group(tmp_path, {}, seeds=2)
    renamed = (tmp_path / second).rename(tmp_path / "b")
    paths = [tmp_path / first, renamed]
    assert by_setting(paths, read_places(paths)) == [SameSetting("g", tuple(paths))]
