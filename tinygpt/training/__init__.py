"""Training: both variants in lockstep, evaluated, recorded, checkpointed, and resumed exactly.

`session` prepares a new run and `resume` an old one; `loop` takes the steps, `recording` writes
their results, `disk_wait` retries on a full disk; a `Learner` is one variant and its optimizers.
Nothing here prints: a caller that shows progress receives each record after it was written. Of
several processes (`distributed`), each trains on its share of `Session.batches`, `gradients` are
averaged, and only the first one writes.
"""

from tinygpt.training.loop import Loop
from tinygpt.training.outcome import Outcome
from tinygpt.training.resume import resume
from tinygpt.training.session import Session, begin

__all__ = ["Loop", "Outcome", "Session", "begin", "resume"]
