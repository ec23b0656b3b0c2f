"""Trackio: in its own folder (TRACKIO_DIR), or in the Space or on the server of its environment
variables, in the project "tinygpt-tui" (TRACKIO_PROJECT)."""

from __future__ import annotations

import contextvars
import os
import shlex
import time
from pathlib import Path

import trackio

from tinygpt.tracking.protocol import Row, Summary, TrackedRun, Tracker


class Run(Tracker):
    """A run of the project, named by the id too: Trackio resumes the latest run of a name."""

    def __init__(self, run: TrackedRun) -> None:
        self._tracked = run
        project = os.environ.get("TRACKIO_PROJECT", "tinygpt-tui")
        usage = None if run.live else False  # of the machine, where it can be measured
        # In one context, opening a run would end the one before.
        self._run = contextvars.copy_context().run(
            trackio.init,
            project=project,
            name=f"{run.name.replace('/', '-')}-{run.id[:6]}",
            group=run.group,
            config=dict(run.config),
            resume="allow",
            embed=False,
            auto_log_cpu=usage,
            auto_log_gpu=usage,
        )
        self.last_step = getattr(self._run, "_next_step", 0) - 1
        self._step = max(run.sent, 0)
        self.where = f"trackio show --project {shlex.quote(project)}"

    def log(self, row: Row) -> None:
        self._step = row.step
        texts = {
            tag: trackio.Table(columns=["step", tag], data=[[row.step, text]])
            for tag, text in row.texts.items()
        }
        self._run.log({**row.scalars, **texts}, step=row.step)

    def flush(self) -> None:
        time.sleep(1.0)  # its thread sends twice a second

    def finish(self, summary: Summary, model: Path | None, *, failed: bool) -> None:
        text = "\n".join(f"- {name}: {value}" for name, value in summary.items())
        self._run.log({"result": trackio.Markdown(text)}, step=self._step)
        if model is not None:
            artifact = trackio.Artifact(f"model-{self._tracked.id}", type="model")
            for name, file in self._tracked.files(model).items():
                artifact.add_file(file, name=name)
            self._run.log_artifact(artifact, aliases=["best"])
        self._run.finish()
