"""What is said between charts and table."""

import dataclasses

from tests.helpers.scenes import history, overfit_history
from tests.helpers.train_states import make_state
from tinygpt.run import ResumeRecord, RunState
from tinygpt_tui.monitor.seed_spread import SeedSpread
from tinygpt_tui.render.cells import plain
from tinygpt_tui.train.status_line import status_line


def test_overfitting_is_said_of_each_variant_in_the_room_there_is() -> None:
    dense = make_state(history=overfit_history(variants=["dense"]))
    words = "Dense: overfitting since step 30 (best 1.746)"
    assert plain([status_line(dense)]) == [f" {words}  train (ema 50) · auto-scroll"]
    assert status_line(dense)[0].style == "warn"
    assert plain([status_line(dense, 60)]) == [f" {words} "]
    assert plain([status_line(dense, 40)]) == [" Overfitting since step: Dense 30 (best 1.746) "]
    both = make_state(history=overfit_history())
    (line,) = plain([status_line(both, 130)])
    assert line.startswith(f" {words}  MoE: overfitting since step 30 (best 1.696)  train (ema 50)")
    (line,) = plain([status_line(both, 80)])
    assert line == " Overfitting since step: Dense 30 (best 1.746), MoE 30 (best 1.696) "


def test_overfitting_is_said_of_a_run_that_has_ended() -> None:
    done, stopped = (RunState(state=s, reason=f"{s} at 100") for s in ("done", "stopped"))
    shown = make_state(history=overfit_history(variants=["moe"], end=True), run_state=done)
    words = "MoE: overfitting since step 30 (best 1.696)"
    (line,) = plain([status_line(shown, 120)])
    assert line.startswith(f" {words}  Finished: 100 steps   Dense is better by 0.7463 nats")
    assert plain([status_line(shown, 60)]) == [f" {words} "]
    shown = make_state(history=overfit_history(variants=["moe"]), run_state=stopped)
    assert plain([status_line(shown)]) == [f" stopped at 100  u resumes it  {words} "]


def test_several_processes_are_counted() -> None:
    known = history(30)
    assert plain([status_line(make_state(history=known))])[0].startswith(" train (ema 50)")
    assert known.start is not None
    known.add([dataclasses.replace(known.start, processes=3)])
    assert plain([status_line(make_state(history=known))])[0].startswith(" 3 processes · ")
    known.add([ResumeRecord(time=1.0, step=20, models={"dense": 20, "moe": 20}, processes=2)])
    assert plain([status_line(make_state(history=known))])[0].startswith(" 2 processes · ")


def test_a_live_run_without_heartbeats_says_so() -> None:
    reason = "process 7 on box is running, but there is no heartbeat for 95 s"
    silent = RunState(state="live", reason=reason, heartbeat_age=95.0)
    (line,) = plain([status_line(make_state(run_state=silent))])
    assert line.strip() == reason


def test_text_from_files_cannot_command_the_terminal() -> None:
    note = "bad \x1b[2J name\x07"
    (line,) = plain([status_line(make_state(note=note))])
    assert "\x1b" not in line
    assert "\x07" not in line


def test_a_fallback_corpus_is_said_while_training_and_at_the_end() -> None:
    corpus = {"name": "shakespeare-standin", "source": "shakespeare-standin: no network"}
    for end in (False, True):
        known = history(100, end=end)
        assert known.start is not None
        state = make_state(history=known)
        warning = " Corpus: shakespeare-standin, an offline substitute: losses do not compare "
        assert warning not in plain([status_line(state, 80)])[0]
        known.start = dataclasses.replace(known.start, corpus=corpus)
        (line,) = plain([status_line(state, 80)])
        assert line.startswith(warning)


def test_before_the_first_evaluation_it_says_what_is_still_to_come() -> None:
    words = "samples and expert load appear after the first evaluation"
    assert words in plain([status_line(make_state(history=history(9)))])[0]
    assert words not in plain([status_line(make_state(history=history(10)))])[0]


def test_a_difference_is_compared_with_that_of_seeds() -> None:
    done = RunState(state="done", reason="")
    known = history(100, end=True)
    for noise, words in ((0.049, "beyond seed noise 0.049"), (0.051, "within seed noise 0.051")):
        seeds = SeedSpread(seeds=5, mean=-0.04, std=0.02, noise=noise)
        shown = make_state(history=known, run_state=done, seeds=seeds)
        facts = f" Finished: 100 steps   MoE is better by 0.0500 nats   {words}"
        (line,) = plain([status_line(shown, 126)])
        assert line == f"{facts}; 5 seeds: Dense by 0.040   MoE time: 1.00x Dense"
        (line,) = plain([status_line(shown, 80)])
        assert line == facts


def test_the_closing_line_drops_whole_facts_in_a_narrow_window() -> None:
    done = RunState(state="done", reason="")
    shown = make_state(history=history(100, end=True), run_state=done)
    facts = (" Finished: 100 steps", "   ", "MoE is better by 0.0500 nats")
    assert plain([status_line(shown, 60)]) == ["".join(facts)]
    assert plain([status_line(shown, 40)]) == ["".join(facts[:2])]
    assert plain([status_line(shown, 78)])[0].endswith("nats   MoE time: 1.00x Dense")
    assert plain([status_line(shown, 120)])[0].endswith("nats   MoE training time: 1.00x Dense")
