"""The state of the Generate tab and its requests to the engine, without widgets."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from tinygpt.generation.params import SamplingParams, describe_filters
from tinygpt.run import VARIANTS
from tinygpt_tui.engine.protocol import (
    Ended,
    Failed,
    GenerateRequest,
    Opened,
    Reply,
    Request,
    StopRequest,
    Tokens,
)
from tinygpt_tui.engine.session import EngineSession
from tinygpt_tui.generate.presets import PRESETS
from tinygpt_tui.generate.selection import TextSelection
from tinygpt_tui.generate.tree import Text

SAMPLES = 5
"""Texts that `sample_several` generates."""


class GenerateController(TextSelection, EngineSession):
    """Generates texts with the selected models and settings, and stops or branches them.

    `TextSelection` holds the texts on the screen and the cursor; `EngineSession` sends requests.
    """

    def __init__(self, ask: Callable[[Request], None], new_job: Callable[[], int]) -> None:
        TextSelection.__init__(self)
        EngineSession.__init__(self, ask, new_job)
        self.params: SamplingParams = PRESETS["conservative"]
        self.compared: SamplingParams | None = None
        """The settings of the left side while two are compared."""
        self.models = "both"
        self.steps: dict[str, int] = {}
        """The chosen checkpoint by variant; the latest of the others is used."""
        self.timeline = False
        """Whether the listed texts are one per checkpoint."""

    # -- which models ---------------------------------------------------------------------------

    def open(self, run: Path | None) -> None:
        """Use another run's models; the texts stay, labelled with their own run."""
        super().open(run)
        self.steps = {}
        self.load_vocabulary()
        self.update_notes()

    @property
    def variants(self) -> list[str]:
        """The selected variants that have a checkpoint; if none of them has, all that have one."""
        available = self.available_variants
        return [v for v in available if self.models in (v, "both")] or available

    def latest_step(self, variant: str) -> int | None:
        """The step of a variant's latest checkpoint."""
        steps = self.checkpoint_steps.get(variant)
        return steps[-1] if steps else None

    def path(self, variant: str) -> str:
        """The directory of the checkpoint of a variant that is used."""
        return self.checkpoint(variant, self.steps.get(variant, self.latest_step(variant)) or 0)

    # -- generating -----------------------------------------------------------------------------

    @property
    def generating(self) -> bool:
        """Whether any text is being generated."""
        return any(text.generating for text in self.tree.texts.values())

    def generate(self, prompt: str, seed: int | None = None) -> bool:
        """Generate from a prompt; `seed` overrides the settings. Returns False without a model."""
        variants = self.variants
        if not variants:
            return False
        self.stop()
        self.reset_cursor()
        seed = self._seed(seed)
        if self.compared is not None:
            variant = variants[0]
            plans = [(variant, self.compared), (variant, self.params)]
        else:
            plans = [(variant, self.params) for variant in variants]
        self.sides = []
        for variant, params in plans:
            text = self.tree.add(prompt, replace(params, seed=seed), self.path(variant))
            self.sides.append(self.side_of(variant, text))
            self._start(text)
        self._number_sides()
        return True

    def _number_sides(self) -> None:
        if self.compared is not None:
            for name, side in zip("AB", self.sides, strict=False):
                assert side.text is not None
                side.title = f"{name} {side.title}"
                side.note = describe_filters(side.text.params)

    def _seed(self, seed: int | None) -> int:
        if seed is not None:
            return seed
        given = self.params.seed
        return random.getrandbits(31) if given is None else given

    def regenerate(self) -> bool:
        """Generate from the same prompt and seed with the current settings."""
        text = self.text
        return text is not None and self.generate(text.prompt, text.params.seed)

    def continue_text(self, count: int | None = None) -> None:
        """Continue the texts of all sides, or the selected text of a list, by `count` tokens."""
        self.cursor = self.candidate = None
        texts = [self.text] if self.listed else [side.text for side in self.sides]
        for text in texts:
            if text is not None and not text.generating and not text.failed:
                self._start(text, count)

    def step(self) -> None:
        """Generate one token, once pending single tokens are done: keys come faster."""
        texts = [self.text] if self.listed else [side.text for side in self.sides]
        for text in texts:
            if text is not None and text.generating and text.stepping:
                text.queued += 1
        self.continue_text(1)

    def sample_several(self, prompt: str) -> bool:
        """Generate `SAMPLES` texts with consecutive seeds. Returns False without a model."""
        variants = self.variants
        if not variants:
            return False
        self.stop()
        self.reset_cursor()
        first = self._seed(None)
        for index in range(SAMPLES):
            params = replace(self.params, seed=first + index)
            text = self.tree.add(prompt, params, self.path(variants[0]))
            self.listed.append(text)
            self._start(text)
        self.timeline = False
        return True

    def replay_checkpoints(self, prompt: str) -> bool:
        """Generate with every checkpoint and the same seed. Returns False without a model."""
        variants = self.variants
        if not variants or self.run is None:
            return False
        seed = self.text.params.seed if self.text else None
        self.stop()
        self.reset_cursor()
        params = replace(self.params, seed=self._seed(seed))
        for variant in variants:
            for step in self.checkpoint_steps[variant]:
                path = self.checkpoint(variant, step)
                self.listed.append(self.tree.add(prompt, params, path))
        self.listed.sort(key=lambda text: Path(text.path).name)
        for text in self.listed:
            self._start(text)
        self.timeline = True
        return True

    def _start(self, text: Text, count: int | None = None) -> None:
        job = self._new_job()
        text.job, text.end, text.failed, text.new_tokens, text.seconds = job, "", False, 0, 0.0
        text.stepping, text.queued = count is not None, 0
        params = asdict(text.params)
        if count is not None:
            params["max_new_tokens"] = count
        path = text.opened.path if text.opened else text.path
        generated = tuple(token.id for token in text.tokens)
        self._ask(GenerateRequest(job, path, text.prompt, params, generated))

    def stop(self) -> bool:
        """Stop all generations; returns whether there were any."""
        jobs = [text.job for text in self.tree.texts.values() if text.job is not None]
        for text in self.tree.texts.values():
            text.queued = 0
        for job in jobs:
            self._ask(StopRequest(job))
        return bool(jobs)

    def handle_reply(self, reply: Reply) -> bool:
        """Apply a reply of the engine; returns whether it was for a text of this tab."""
        text = self.tree.of_job(reply.job)
        if text is None:
            return False
        match reply:
            case Opened():
                text.opened = reply
            case Tokens():
                self.tree.receive(text, reply.tokens)
            case Ended():
                text.job, text.end, text.seconds = None, reply.why, reply.seconds
                if text.queued and text.end == "length":
                    self._start(text, text.queued)
            case Failed():
                text.job, text.end, text.failed = None, reply.why, True
        return True

    def update_notes(self) -> None:
        """Note below each heading if there is a newer checkpoint, or the run is another one."""
        open_run = _real_path(self.run) if self.run is not None else None
        for side in self.sides:
            opened = side.text.opened if side.text else None
            if opened is None or self.compared is not None:
                continue
            run = _real_path(Path(opened.path)).parent.parent
            if run != open_run:
                side.note = f"generated by run {run.name}"
                continue
            if opened.variant in self.steps:
                continue
            latest = self.latest_step(opened.variant)
            newer = latest is not None and latest > opened.step
            side.note = f"step {latest:,} is available: a regenerates with it" if newer else ""

    # -- the cursor -----------------------------------------------------------------------------

    def enter(self) -> bool:
        """Open the list entry or the candidates, or branch. Returns False if there is none."""
        text, side = self.text, self.side
        if text is None:
            return False
        if self.listed:
            self.show(text)
        elif self.cursor is None or side is None:
            return False
        elif self.candidate is None:
            token = text.tokens[self.cursor]
            self.candidate = token.ids.index(token.id) if token.id in token.ids else 0
        else:
            if text.generating:
                self.stop()
            params = replace(self.params, seed=text.params.seed)
            side.text = self.tree.branch(text, self.cursor, self.candidate, params)
            self._start(side.text)
            self.cursor = self.candidate = None
        return True

    def prune(self, text: Text) -> None:
        """Remove a text and its branches."""
        for removed in self.tree.prune(text):
            if removed.job is not None:
                self._ask(StopRequest(removed.job))
            self.sides = [side for side in self.sides if side.text is not removed]
        self.reset_cursor()

    def next_models(self) -> str:
        """Switch between both models, Dense and MoE; returns which are selected."""
        order = ("both", *VARIANTS)
        self.models = order[(order.index(self.models) + 1) % len(order)]
        return self.models

    def toggle_compare(self) -> bool:
        """Pin the current settings on the left, or release them; returns whether pinned."""
        self.compared = self.params if self.compared is None else None
        return self.compared is not None


def _real_path(path: Path) -> Path:
    """Without links; unlike `Path.resolve`, it accepts links that lead in a circle."""
    return Path(os.path.realpath(path))
