"""Weights & Biases. Its environment variables count (WANDB_PROJECT, WANDB_ENTITY, WANDB_MODE, …);
who is not logged in gets an offline run, to be sent by ``wandb sync``."""

from __future__ import annotations

import html
import os
import shlex
from pathlib import Path

import wandb

from tinygpt.tracking.protocol import Row, Summary, TrackedRun, Tracker


class Run(Tracker):
    """A run of the project "tinygpt-tui", by default; the variants of a training are a group."""

    def __init__(self, run: TrackedRun) -> None:
        self._tracked = run
        mode = None if "WANDB_MODE" in os.environ or _logged_in() else "offline"
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "tinygpt-tui"),
            dir=None if "WANDB_DIR" in os.environ else str(run.path),
            id=run.id,
            name=run.name,
            group=os.environ.get("WANDB_RUN_GROUP", run.group),
            job_type=run.variant,
            config=dict(run.config),
            mode=mode,
            resume="allow",
            reinit="create_new",  # Dense and MoE are open at the same time
            settings=wandb.Settings(console="off", x_disable_stats=not run.live),
        )
        self.last_step = self._run.starting_step - 1
        folder = shlex.quote(str(Path(self._run.dir).parent))
        sync = f"offline, to be sent with: wandb sync {folder}"
        self.where = f"{run.name} is {f'at {self._run.url}' if self._run.url else sync}"

    def log(self, row: Row) -> None:
        texts = {t: wandb.Html(f"<pre>{html.escape(s)}</pre>") for t, s in row.texts.items()}
        self._run.log({**row.scalars, **texts}, step=row.step, commit=True)

    def finish(self, summary: Summary, model: Path | None, *, failed: bool) -> None:
        self._run.summary.update(dict(summary))
        if model is not None:
            artifact = wandb.Artifact(f"model-{self._tracked.id}", type="model")
            for name, file in self._tracked.files(model).items():
                artifact.add_file(str(file), name=name)
            self._run.log_artifact(artifact, aliases=["best"])
        self._run.finish(exit_code=int(failed))


def _logged_in() -> bool:
    try:
        return bool(wandb.login(verify=False))
    except wandb.errors.UsageError:  # nobody can be asked for a key here
        return False
