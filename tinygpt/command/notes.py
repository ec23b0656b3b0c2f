"""What the lines of progress do not say: that a variant is overfitting, or has ended early."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tinygpt.overfitting import overfitting
from tinygpt.run import EvalRecord, Record
from tinygpt.training.learner import Learner
from tinygpt.training.run_end import out_of_patience


class Notes:
    """Follows the evaluations of these learners."""

    def __init__(self, learners: Sequence[Learner]) -> None:
        self._learners = {learner.variant: learner for learner in learners}
        self._overfitting: set[str] = set()
        """The variants that it was said of; once is enough."""

    def add(self, record: Record) -> Iterator[str]:
        """The notes that are due after a record was written."""
        if not isinstance(record, EvalRecord):
            return
        learner = self._learners[record.model]
        found = overfitting(learner.evaluations)
        if found and learner.variant not in self._overfitting:
            self._overfitting.add(learner.variant)
            yield f"{learner.variant}: {found}"
        if note := out_of_patience(learner):
            yield note
