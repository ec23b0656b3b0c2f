"""Groups of runs on disk, without training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.helpers.runs import make_run
from tinygpt.presets import Scalar
from tinygpt.run.group import Group, write_group


def make_group(
    out: Path, grid: Mapping[str, Sequence[Scalar]], seeds: int | None = None, *, done: int = 99
) -> list[str]:
    """The group "g" and its runs, of which the first `done` are done; the names of all.

    The losses of the nth run are 1.5 (Dense) and 1.25 (MoE) plus n / 8.
    """
    group = Group(name="g", settings={"preset": "micro"}, grid=grid, seeds=seeds)
    (out / "g").mkdir(parents=True)
    write_group(out / "g", group, ["test"])
    for n, member in enumerate(group.members):
        values: dict[str, object] = {**group.settings, **member.point, "seed": member.seed}
        losses = 1.5 + n / 8, 1.25 + n / 8
        state = "done" if n < done else "killed"
        make_run(out, member.name, values, state, losses=losses, ago=9.0 - n, group="g")
    return [member.name for member in group.members]
