"""What the follower reads of a run directory."""

from pathlib import Path

from textual.message_pump import MessagePump

from tests.helpers.checkpoints import snapshot
from tests.helpers.scenes import make_run
from tinygpt import checkpoint
from tinygpt_tui.monitor.follower import Follower


def test_checkpoints_are_listed_with_the_machine_and_when_the_run_ends(tmp_path: Path) -> None:
    now = [0.0]
    with make_run(tmp_path, "one") as writer:
        for step, loss in ((3, 1.25), (7, 1.5)):
            checkpoint.save(writer.path, snapshot(step=step, loss=loss))
        follower = Follower(writer.path, MessagePump(), 1, clock=lambda: now[0])
        first = follower.poll()
        assert first.checkpoints is not None
        assert first.checkpoints["dense"].val_losses == {3: 1.25, 7: 1.5}
        assert first.checkpoints["dense"].step() == 7
        assert first.checkpoints["moe"].steps == ()
        assert follower._has_changed(first)
        assert follower.poll().checkpoints is None, "nothing new"
        writer.status("done", 7)
        last = follower.poll()
        assert last.checkpoints is not None
        assert last.checkpoints["dense"].step() == 3, "the run has ended: the best"
        now[0] += 2.0
        assert follower.poll().checkpoints is not None
