"""A run is followed, resumed and sent again: every step reaches the tracker once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.records import evaluated, routed, sample, train
from tests.helpers.run_files import end
from tests.helpers.tracking import append, run_with
from tinygpt.errors import RunError
from tinygpt.files.folder_lock import sole_holder
from tinygpt.run import ResumeRecord
from tinygpt.tracking.follow import follow
from tinygpt.tracking.protocol import Row, Summary, TrackedRun, Tracker
from tinygpt.tracking.state import read_tracking


class Fake:
    """A tracker that remembers; one that `remembers` knows the last step it has."""

    def __init__(self, *, remembers: bool = False) -> None:
        self.rows: dict[str, list[Row]] = {}
        self.runs: list[TrackedRun] = []
        self.ends: list[tuple[str, Summary, bool]] = []
        self.models: list[Path] = []
        self.remembers = remembers
        self.raises_at: int | None = None
        self.raises_in_flush = False

    def open(self, name: str, run: TrackedRun) -> Tracker:
        assert name == "wandb"
        fake = self
        self.runs.append(run)

        class Opened(Tracker):
            where = f"see {name}"

            def __init__(self, run: TrackedRun) -> None:
                self._rows = fake.rows.setdefault(run.id, [])
                if fake.remembers and self._rows:
                    self.last_step = self._rows[-1].step

            def log(self, row: Row) -> None:
                if row.step == fake.raises_at:
                    raise OSError("no network")
                self._rows.append(row)

            def flush(self) -> None:
                if fake.raises_in_flush:
                    raise OSError("killed here")

            def finish(self, summary: Summary, model: Path | None, *, failed: bool) -> None:
                fake.ends.append((run.variant, summary, failed))
                fake.models += [] if model is None else [model]

        return Opened(run)

    def steps(self, variant: str) -> list[int]:
        ids = dict.fromkeys(run.id for run in self.runs if run.variant == variant)
        return [row.step for id in ids for row in self.rows[id]]


def send(run: Path, fake: Fake, **how: Any) -> list[str]:
    """Send what is there; returns what the user is told."""
    notes: list[str] = []
    follow(
        run,
        "wandb",
        is_over=lambda: True,
        wait=_never,
        note=notes.append,
        open_tracker=fake.open,
        **how,
    )
    return notes


def _never() -> None:
    raise AssertionError("it waited for a run that is over")


def both(*steps: int) -> list[Any]:
    return [train(model, step) for step in steps for model in ("dense", "moe")]


def test_dense_and_moe_are_two_runs_of_a_group_with_the_same_tags(tmp_path: Path) -> None:
    run = run_with(tmp_path / "nano", *both(1, 2), evaluated("dense", 2, 1.5), end())
    fake = Fake()
    assert send(run, fake) == ["see wandb"]
    assert [tracked.name for tracked in fake.runs] == ["nano/dense", "nano/moe"]
    assert [tracked.group for tracked in fake.runs] == ["nano", "nano"]
    assert len({tracked.id for tracked in fake.runs}) == 2
    assert fake.steps("dense") == fake.steps("moe") == [1, 2]
    dense, moe = fake.runs
    assert dense.config["seed"] == 7
    assert dense.config["corpus"] == {"name": "plays"}
    assert dense.config["params_active"] == 804224
    assert moe.config["params_active"] == 806272


def test_runs_of_a_group_are_one_group(tmp_path: Path) -> None:
    run = run_with(tmp_path / "g-s1", *both(1, 2))
    (run / "run.toml").write_text('group = "g"\n')
    fake = Fake()
    send(run, fake)
    assert {tracked.group for tracked in fake.runs} == {"g"}


def test_the_end_has_the_results_and_the_best_checkpoint(tmp_path: Path) -> None:
    run = run_with(tmp_path / "nano", *both(1, 5), end())
    (run / "dense" / "step-00000005").mkdir(parents=True)
    fake = Fake()
    send(run, fake)
    (_, dense, failed), (_, moe, _) = fake.ends
    assert not failed
    best = str((run / "dense" / "step-00000005").resolve())
    assert dense["best_checkpoint"] == best
    assert dense["step"] == 5
    assert dense["state"] == "done"
    assert "best_checkpoint" not in moe
    assert fake.models == []
    send(run, fake, model=True)
    assert fake.models == [Path(run / "dense" / "step-00000005")]


def test_a_failed_and_a_killed_run_are_failed_runs(tmp_path: Path) -> None:
    for name, last in (("failed", [end("failed")]), ("killed", [])):
        fake = Fake()
        send(run_with(tmp_path / name, *both(1, 2), *last), fake)
        assert [failed for _, _, failed in fake.ends] == [True, True], name


def test_a_run_that_was_sent_is_not_sent_again(tmp_path: Path) -> None:
    run = run_with(tmp_path / "a", *both(1, 2, 3), end())
    fake = Fake()
    send(run, fake)
    assert send(run, fake) == []
    assert fake.steps("dense") == [1, 2, 3]
    assert len(fake.ends) == 2
    append(run, ResumeRecord(time=1.0, step=3, models={"dense": 3, "moe": 3}), *both(4, 5), end())
    send(run, fake)
    assert fake.steps("dense") == fake.steps("moe") == [1, 2, 3, 4, 5]
    assert len({tracked.id for tracked in fake.runs}) == 2
    assert [tracked.sent for tracked in fake.runs] == [-1, -1, 3, 3]


def test_a_run_that_was_killed_and_resumed_has_each_step_once(tmp_path: Path) -> None:
    run = run_with(tmp_path / "a", *both(1, 2, 3, 4))
    fake = Fake()
    send(run, fake)
    assert fake.steps("moe") == [1, 2, 3]  # the fourth may have lacked its evaluation
    resume = ResumeRecord(time=1.0, step=2, models={"dense": 2, "moe": 2})
    append(run, resume, *both(3, 4), evaluated("moe", 4, 1.5), *both(5), end())
    send(run, fake)
    assert fake.steps("dense") == fake.steps("moe") == [1, 2, 3, 4, 5]
    (moe,) = {tracked.id for tracked in fake.runs if tracked.variant == "moe"}
    assert fake.rows[moe][3].scalars["val/loss"] == 1.5


@pytest.mark.parametrize("trouble", ["in the middle", "before it was noted"])
def test_a_tracker_that_crashes_gets_no_step_twice(
    tmp_path: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinygpt.tracking.follow.BATCH", 5)
    run = run_with(tmp_path / "a", *both(*range(1, 12)), end())
    fake = Fake(remembers=True)
    fake.raises_at = 7 if trouble == "in the middle" else None
    fake.raises_in_flush = trouble == "before it was noted"
    with pytest.raises(OSError, match=r"no network|killed here"):
        send(run, fake)
    assert fake.steps("dense") != list(range(1, 12))
    fake.raises_at, fake.raises_in_flush = None, False
    send(run, fake)
    assert fake.steps("dense") == fake.steps("moe") == list(range(1, 12))


def test_what_was_noted_is_not_sent_again_to_a_tracker_that_forgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinygpt.tracking.follow.BATCH", 3)
    run = run_with(tmp_path / "a", *(train("dense", step) for step in range(1, 12)), end())
    fake = Fake()
    fake.raises_at = 9
    with pytest.raises(OSError, match="no network"):
        send(run, fake)
    noted = read_tracking(run / "wandb").sent["dense"]
    assert 0 < noted < 9
    fake.raises_at = None
    send(run, fake)
    assert [run.sent for run in fake.runs if run.variant == "dense"] == [-1, noted]
    assert fake.steps("dense")[-len(range(noted, 11)) :] == list(range(noted + 1, 12))


def test_a_live_run_is_followed_to_its_end(tmp_path: Path) -> None:
    run = run_with(tmp_path / "a", *both(1))
    fake = Fake()

    def training() -> Iterator[None]:
        append(run, *both(2, 3))
        yield
        assert fake.steps("dense") == [1, 2]
        append(run, sample("moe", 3), routed(3))
        yield
        append(run, *both(4), end())
        yield

    session = training()
    over: Callable[[], bool] = lambda: read_end(run)  # noqa: E731
    follow(
        run,
        "wandb",
        is_over=over,
        wait=lambda: next(session),
        note=lambda _: None,
        live=True,
        open_tracker=fake.open,
    )
    assert fake.steps("dense") == fake.steps("moe") == [1, 2, 3, 4]
    (moe,) = (tracked.id for tracked in fake.runs if tracked.variant == "moe")
    assert fake.rows[moe][2].texts == {"sample": "moe at 3"}
    assert fake.rows[moe][2].scalars["experts/load_entropy"] == 0.69
    assert read_tracking(run / "wandb").live


def read_end(run: Path) -> bool:
    return b'"kind":"end"' in (run / "metrics.jsonl").read_bytes()


def test_two_processes_never_send_a_run_to_the_same_tracker(tmp_path: Path) -> None:
    run = run_with(tmp_path / "a", *both(1, 2))
    (run / "wandb").mkdir()
    with sole_holder(run / "wandb"), pytest.raises(RunError, match="another process is sending"):
        send(run, Fake())


def test_a_run_does_not_say_where_to_write(tmp_path: Path) -> None:
    run = run_with(tmp_path / "a", *both(1, 2))
    (tmp_path / "elsewhere").mkdir()
    (run / "wandb").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="wandb is a link"):
        send(run, Fake())
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_artifact_is_a_run_that_can_be_loaded(tmp_path: Path) -> None:
    run = run_with(tmp_path / "a", *both(1, 2))
    folder = run / "moe" / "step-00000001"
    folder.mkdir(parents=True)
    for file in ("model.safetensors", "training.safetensors", "meta.json"):
        (folder / file).write_text("")
    (run / "tokenizer.json").write_text("")
    fake = Fake()
    send(run, fake)
    assert list(fake.runs[-1].files(folder)) == [
        "moe/step-00000001/model.safetensors",
        "moe/step-00000001/meta.json",
        "tokenizer.json",
        "run.toml",
    ]


def test_a_replaced_file_ends_the_tracking(tmp_path: Path) -> None:
    run = run_with(tmp_path / "a", *both(1, 2))

    def replace() -> None:
        other = run_with(tmp_path / "b", *both(1, 2, 3, 4, 5))
        (other / "metrics.jsonl").write_bytes(b"\n" + (other / "metrics.jsonl").read_bytes())
        (other / "metrics.jsonl").replace(run / "metrics.jsonl")

    with pytest.raises(RunError, match="was replaced by another file"):
        follow(
            run,
            "wandb",
            is_over=lambda: False,
            wait=replace,
            note=lambda _: None,
            open_tracker=Fake().open,
        )
