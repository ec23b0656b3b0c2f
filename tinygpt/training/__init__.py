"""Training: both variants in lockstep, evaluated, recorded, checkpointed, resumed exactly.

`session` prepares a run, new or resumed; `loop` trains it; a `Learner` is one variant and its
optimizers. Nothing here prints: whoever wants to show progress is handed each record as it is
written.
"""

from tinygpt.training.loop import Loop, Outcome
from tinygpt.training.resume import resume
from tinygpt.training.session import Session, begin

__all__ = ["Loop", "Outcome", "Session", "begin", "resume"]
