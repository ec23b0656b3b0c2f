"""TensorBoard: event files in ``<run>/tensorboard/<variant>``, written by its own package alone, as
PyTorch's SummaryWriter would load torch."""

from __future__ import annotations

import shlex
import textwrap
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary as Values
from tensorboard.compat.proto.summary_pb2 import SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from tinygpt.run import RUN_TOML
from tinygpt.tracking.protocol import Row, Summary, TrackedRun, Tracker


class Run(Tracker):
    """An event file; each session of training has one of its own in the same folder."""

    def __init__(self, run: TrackedRun) -> None:
        self.where = f"tensorboard --logdir {shlex.quote(str(run.folder))}"
        self._last = Row(step=max(run.sent, 0), time=time.time())
        self._writer = EventFileWriter(str(run.folder / run.variant))
        self._texts: dict[str, str] = {}
        if run.sent < 0:
            self._texts["run.toml"] = (run.path / RUN_TOML).read_text(encoding="utf-8")
        # TensorBoard forgets what is there of these steps: nobody noted that they were sent.
        start = SessionLog(status=SessionLog.START)
        self._writer.add_event(Event(step=run.sent + 1, session_log=start))

    def log(self, row: Row) -> None:
        values = [Values.Value(tag=tag, simple_value=value) for tag, value in row.scalars.items()]
        values += [_text(tag, text) for tag, text in {**self._texts, **row.texts}.items()]
        self._last, self._texts = row, {}
        event = Event(wall_time=row.time, step=row.step, summary=Values(value=values))
        self._writer.add_event(event)

    def flush(self) -> None:
        self._writer.flush()

    def finish(self, summary: Summary, model: Path | None, *, failed: bool) -> None:
        lines = "\n".join(f"{name}: {value}" for name, value in summary.items())
        self.log(Row(step=self._last.step, time=self._last.time, texts={"result": lines}))
        self._writer.close()


def _text(tag: str, text: str) -> Values.Value:
    """For the Text tab, which reads Markdown: indented, the text is shown as it is."""
    plugin = SummaryMetadata.PluginData(plugin_name="text")
    content = textwrap.indent(text, "    ", lambda _: True).encode(errors="replace")
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
    tensor = TensorProto(dtype="DT_STRING", string_val=[content], tensor_shape=shape)
    return Values.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin), tensor=tensor)
