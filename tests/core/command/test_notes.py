"""Notes between the lines of progress."""

from pathlib import Path

from tests.helpers.training import make_overfitting, make_session, train_session
from tinygpt.command.notes import Notes
from tinygpt.run import EvalRecord, Record


def test_each_note_comes_once_and_when_it_becomes_true(tmp_path: Path) -> None:
    session = make_overfitting(tmp_path, model="moe", patience=6)
    notes = Notes(session.learners)
    said: list[tuple[int, str]] = []

    def observe(record: Record) -> None:
        said.extend((getattr(record, "step", 0), note) for note in notes.add(record))

    train_session(session, observe=observe)
    (learner,) = session.learners
    best = learner.evaluations[0]
    assert isinstance(best, EvalRecord)
    (first, overfits), (last, ended) = said
    assert 12 < first < last == 42
    assert overfits == f"moe: overfitting since step 6 (best {best.val_loss:.3f})"
    assert ended.startswith("moe: no better validation loss in 6 evaluations, best ")


def test_a_run_that_learns_needs_no_notes(tmp_path: Path) -> None:
    session = make_session(tmp_path, patience=2)
    notes = Notes(session.learners)
    said: list[str] = []
    train_session(session, observe=lambda record: said.extend(notes.add(record)))
    assert said == []
