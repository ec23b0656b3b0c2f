"""Runs side by side: which settings differ, and the results."""

import math
from dataclasses import replace
from typing import Any

import pytest

from tests.helpers.records import evaluated, started, train
from tests.helpers.scenes import history, overfit_history
from tinygpt.config import build, flatten, unflatten
from tinygpt.run import RunState
from tinygpt.run.columns import group
from tinygpt_tui.monitor.history import History
from tinygpt_tui.render.cells import Row, plain, width
from tinygpt_tui.screens.compare_table import (
    ComparedRun,
    OneOfSeveral,
    comparison,
    differing_settings,
    results_of,
)

DONE = RunState(state="done", reason="")


def run(
    name: str, values: dict[str, object], records: History | None = None, **tables: Any
) -> ComparedRun:
    settings = unflatten(flatten(build(values)))
    return ComparedRun(name, DONE, {**settings, **tables}, records or history(50))


def losses(dense: float, moe: float | None = None, *, seconds: float = 25.0) -> History:
    """A run of 50 steps with these validation losses."""
    made = History()
    found = {"dense": dense, "moe": moe}
    known = {name: loss for name, loss in found.items() if loss is not None}
    for name, loss in known.items():
        last = replace(train(name, 50), train_seconds=seconds)
        made.add(group([started(), last] if name == "dense" else [last]))
        made.add([evaluated(name, 50, loss)])
    return made


def text_of(runs: list[ComparedRun], columns: int = 120, **how: Any) -> list[str]:
    head, body, _ = comparison(runs, columns, **how)
    return [line.rstrip() for line in plain([*head, *body])]


def row_of(lines: list[str], label: str, nth: int = 0) -> list[str]:
    """The cells after a label: of the nth row that has it."""
    found = [line for line in lines if line.strip().startswith(label)]
    return found[nth].replace(label, "", 1).split()


def test_the_settings_that_differ_stand_side_by_side() -> None:
    runs = [
        run("a", {"preset": "micro", "steps": 200}),
        run("b", {"preset": "micro", "steps": 200, "optim.matrix_learning_rate": 0.05}),
        run("c", {"preset": "micro", "steps": 200, "gpt.width": 96, "seed": 3}),
    ]
    assert differing_settings(runs) == {
        "seed": ["1", "1", "3"],
        "gpt.width": ["64", "64", "96"],
        "optim.matrix_learning_rate": ["0.02", "0.05", "0.02"],
    }
    lines = text_of(runs)
    assert lines[0].split() == ["a", "b", "c"]
    assert row_of(lines, "optim.matrix_learning_rate") == ["0.02", "0.05", "0.02"]
    assert not any("gpt.layers" in line for line in lines)
    assert row_of(text_of(runs, all_settings=True), "gpt.layers") == ["2", "2", "2"]


def test_what_differs_from_the_baseline_stands_out() -> None:
    _, body, _ = comparison([run("a", {"seed": 5}), run("b", {"seed": 7})], 100)
    styles = {s.text.strip(): s.style for cells in body for s in cells if s.text.strip()}
    assert (styles["5"], styles["7"]) == ("text", "strong")


def test_versions_arguments_and_the_place_of_the_corpus_are_left_out() -> None:
    corpus = {"name": "plays", "sha256": "ab"}
    first = run("a", {"data": "x/plays.txt"}, corpus=corpus, argv=["x"], versions={"torch": "1"})
    second = run("b", {"data": "plays.txt"}, corpus=corpus, argv=["y"], versions={"torch": "2"})
    assert differing_settings([first, second]) == {}
    assert "  none" in text_of([first, second])


def test_another_corpus_is_said_and_its_losses_are_not_compared() -> None:
    runs = [
        run(name, {}, losses(1.5, 1.25), corpus={"name": "plays", "sha256": sha * 8})
        for name, sha in (("a", "ab"), ("b", "cd"))
    ]
    assert differing_settings(runs) == {"corpus": ["plays ababab", "plays cdcdcd"]}
    lines = text_of(runs)
    assert any("these losses cannot be compared" in line for line in lines)
    assert row_of(lines, "Dense") == ["1.5000", "1.5000"]
    assert not any("◆1.5" in line for line in lines)


def test_settings_of_older_and_newer_versions() -> None:
    old = {"preset": "micro", "gpt": {"width": 64}}
    runs = [
        ComparedRun("old", DONE, old, History()),
        ComparedRun("new", DONE, {**old, "gpt": {"width": 64, "rotor": 7}}, History()),
    ]
    found = differing_settings(runs)
    assert found["gpt.rotor"] == ["-", "7"]
    assert runs[0].settings["optim.decay_taps"] is True, "as it was before there was a choice"


def test_notes_come_first_if_there_are_any() -> None:
    old = ComparedRun("old", DONE, {"seed": 1}, History())
    new = replace(old, name="new", note="twice the\x1b rate")
    assert plain(comparison([old, new], 80).body)[0].split() == ["note", "twice", "the␛", "rate"]
    assert "note" not in plain(comparison([old, old], 80).body)[0]


def test_the_best_losses_with_their_differences() -> None:
    runs = [
        run("a", {}, losses(1.5, 1.25)),
        run("b", {}, losses(1.25, 1.5, seconds=50.0)),
        run("c", {}, losses(1.75)),
    ]
    lines = text_of(runs)
    assert row_of(lines, "Dense") == ["1.5000", "◆1.2500", "-0.2500", "1.7500", "+0.2500"]
    assert row_of(lines, "MoE") == ["◆1.2500", "1.5000", "+0.2500", "-"]
    assert row_of(lines, "training time") == ["25s", "50s", "+100%", "25s", "+0%"]
    assert row_of(lines, "tokens/s") == ["◆154", "77", "-50%", "◆154", "+0%"]
    assert row_of(lines, "best at step") == ["50", "50", "50"]
    assert row_of(lines, "steps") == ["50", "50", "50"]
    assert row_of(lines, "tokens") == ["3.85k", "3.85k", "3.85k"]
    assert row_of(lines, "active parameters") == ["804k", "804k", "804k"]


def test_better_and_worse_differ_in_style() -> None:
    runs = [run(name, {}, losses(loss)) for name, loss in (("a", 1.5), ("b", 1.25), ("c", 1.75))]
    _, body, _ = comparison(runs, 120)
    styles = {span.text.strip(): span.style for cells in body for span in cells}
    assert (styles["-0.2500"], styles["+0.2500"], styles["◆1.2500"]) == ("good", "warn", "strong")


def test_differences_stand_below_where_there_is_no_room_beside() -> None:
    runs = [run(f"run-{i}", {}, losses(1.5 + i / 8, 1.25)) for i in range(4)]
    lines = text_of(runs, 76)
    assert lines[0].split() == ["run-0", "run-1", "run-2", "run-3"], "four runs at 80 columns"
    place = next(i for i, line in enumerate(lines) if line.startswith("  Dense"))
    assert lines[place].split() == ["Dense", "◆1.5000", "1.6250", "1.7500", "1.8750"]
    assert lines[place + 1].split() == ["-", "baseline", "+0.1250", "+0.2500", "+0.3750"]
    assert not any("baseline" in line for line in text_of(runs, 120))


def test_two_runs_stand_near_each_other_in_a_wide_window() -> None:
    names = text_of([run("a", {}), run("b", {})], 168)[0]
    assert names.index("b") - names.index("a") == 34


def test_no_best_among_equal_losses() -> None:
    assert not any("◆1.5" in line for line in text_of([run(n, {}, losses(1.5)) for n in "ab"]))


def test_the_last_loss_and_overfitting_are_those_of_the_run() -> None:
    runs = [run("a", {}, overfit_history(100, best=30)), run("b", {}, history(100))]
    found = {result.label: result.values for result in results_of(runs, "dense")}
    last, best = found["last validation loss"], overfit_history(100).variants["dense"].evaluated
    assert best is not None
    assert last[0] == best.val_loss > best.best_val_loss
    assert found["overfitting since step"] == [30, None]
    assert found["best at step"] == [30, 100]


def test_the_baseline_stays_while_others_scroll_by() -> None:
    runs = [run(f"run-{i}", {"seed": i}) for i in range(7)]
    for by, shown in ((0, [0, 1, 2]), (2, [0, 3, 4]), (9, [0, 5, 6])):
        assert comparison(runs, 64, scrolled=by).scrolled == min(by, 4)
        lines = text_of(runs, 64, scrolled=by)
        assert lines[0].split() == [f"run-{i}" for i in shown]
        assert lines[1].split()[:4] == ["←", "→", "4", "more"]
        assert row_of(lines, "seed") == [str(i) for i in shown]


@pytest.mark.parametrize("columns", [1, 12, 40, 60, 76, 116, 168])
@pytest.mark.parametrize("count", [2, 4, 7])
def test_every_row_fills_the_width(columns: int, count: int) -> None:
    runs = [run(f"漢字-{'long-name' * i}", {"seed": i}, losses(1.5 + i)) for i in range(count)]
    head, body, _ = comparison(runs, columns)
    rows: list[Row] = [*head, *body]
    assert {width(cells) for cells in rows} == {columns}
    assert len(head) == 2


def test_runs_without_records_have_only_settings() -> None:
    runs = [run(name, {"seed": i}) for i, name in enumerate("ab")]
    runs = [replace(one, history=History()) for one in runs]
    lines = text_of(runs)
    assert row_of(lines, "seed") == ["0", "1"]
    assert not any("loss" in line for line in lines)


def test_runs_that_differ_in_their_seed_share_a_column_of_means() -> None:
    seeds = tuple(OneOfSeveral(DONE, seed, losses(loss)) for seed, loss in ((2, 1.75), (3, 2.0)))
    several = replace(run("g", {"preset": "micro"}, losses(1.5)), others=seeds)
    lines = text_of([run("a", {"preset": "micro", "seed": 5}, losses(1.875)), several])
    assert lines[1].split() == ["✓", "Done", "3/3", "done"]
    assert row_of(lines, "seed") == ["5", "1,", "2,", "3"]
    assert row_of(lines, "Dense") == ["1.8750", "◆1.7500", "±0.2500", "-0.1250"]
    assert row_of(lines, "last validation loss") == ["1.8750", "◆1.7500", "±0.2500", "-0.1250"]
    narrow = text_of([run("a", {"preset": "micro", "seed": 5}, losses(1.875)), several], 60)
    assert row_of(narrow, "Dense") == ["1.8750", "◆1.7500", "±0.2500"]
    assert row_of(narrow, "- baseline") == ["-0.1250"]


def test_runs_with_other_tokens_are_compared_in_bits_per_byte() -> None:
    other = losses(4.0, 5.0)
    assert other.start is not None
    other.start = replace(other.start, tokenizer={"kind": "bpe", "vocab_size": 512})
    for variant in other.variants.values():
        variant.evaluations = [
            replace(r, bits_per_byte=r.val_loss / 2) for r in variant.evaluations
        ]
    own = losses(1.5)
    lines = text_of([run("a", {}, own), run("b", {"tokenizer": "bpe"}, other)])
    title = next(place for place, line in enumerate(lines) if line.startswith("Best validation"))
    assert lines[title] == "Best validation loss, bits per byte"
    bits = 1.5 / math.log(2)
    assert row_of(lines[title:], "Dense") == [f"{bits:.4f}", "◆2.0000", f"{2 - bits:+.4f}"]
    assert row_of(lines, "last, bits per byte")[:2] == [f"{bits:.4f}", "◆2.0000"]
