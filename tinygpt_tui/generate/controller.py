"""The state of the Generate tab and its requests to the engine, without widgets."""

from __future__ import annotations

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


class GenerateController(TextSelection, EngineSession):
    """The generated texts, the sampling settings and a cursor."""

    def __init__(self, ask: Callable[[Request], None], number: Callable[[], int]) -> None:
        TextSelection.__init__(self)
        EngineSession.__init__(self, ask, number)
        self.params: SamplingParams = PRESETS["conservative"]
        self.held: SamplingParams | None = None
        """The left side's settings, while two are compared."""
        self.models = "both"
        self.steps: dict[str, int] = {}
        """The checkpoint to use of a variant, where it is not the newest."""
        self.timeline = False
        """Whether the listed texts are those of the checkpoint timeline."""

    # -- which models ---------------------------------------------------------------------------

    def open(self, run: Path | None) -> None:
        """Use another run's models; the texts stay, labelled with their run."""
        super().open(run)
        self.steps = {}
        self.load_vocabulary()
        self.look_for_newer()

    @property
    def variants(self) -> list[str]:
        """Those that generate: selected, and with a checkpoint."""
        available = self.available_variants
        return [v for v in available if self.models in (v, "both")] or available

    def newest(self, variant: str) -> int | None:
        """The last step of a variant that has a checkpoint."""
        steps = self.kept.get(variant)
        return steps[-1] if steps else None

    def path(self, variant: str) -> str:
        """The checkpoint that generates."""
        return self.checkpoint(variant, self.steps.get(variant, self.newest(variant)) or 0)

    # -- generating -----------------------------------------------------------------------------

    @property
    def writing(self) -> bool:
        """Whether a text is being generated."""
        return any(text.writing for text in self.tree.texts.values())

    def write(self, prompt: str, seed: int | None = None) -> bool:
        """Generate from a prompt, `seed` replacing that of the settings. False: no model."""
        variants = self.variants
        if not variants:
            return False
        self.stop()
        self.reset_cursor()
        seed = self._seed(seed)
        if self.held is not None:
            variant = variants[0]
            plans = [(variant, self.held), (variant, self.params)]
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
        if self.held is not None:
            for name, side in zip("AB", self.sides, strict=False):
                assert side.text is not None
                side.title = f"{name} {side.title}"
                side.note = describe_filters(side.text.params)

    def _seed(self, seed: int | None) -> int:
        if seed is not None:
            return seed
        given = self.params.seed
        return random.getrandbits(31) if given is None else given

    def again(self) -> bool:
        """Generate from the same prompt and seed with the current settings."""
        text = self.text
        return text is not None and self.write(text.prompt, text.params.seed)

    def more(self, count: int | None = None) -> None:
        """Continue the texts of all sides, or the selected text of a list."""
        self.cursor = self.candidate = None
        texts = [self.text] if self.listed else [side.text for side in self.sides]
        for text in texts:
            if text is not None and not text.writing and not text.failed:
                self._start(text, count)

    def step(self) -> None:
        """Generate one token, after a pending one: keys come faster than tokens."""
        texts = [self.text] if self.listed else [side.text for side in self.sides]
        for text in texts:
            if text is not None and text.writing and text.stepping:
                text.owed += 1
        self.more(1)

    def several(self, prompt: str) -> bool:
        """Samples with consecutive seeds. False if there is no model."""
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

    def replay(self, prompt: str) -> bool:
        """Generate with every checkpoint from one prompt and seed. False if there is no model."""
        variants = self.variants
        if not variants or self.run is None:
            return False
        seed = self.text.params.seed if self.text else None
        self.stop()
        self.reset_cursor()
        params = replace(self.params, seed=self._seed(seed))
        for variant in variants:
            for number in self.kept[variant]:
                path = self.checkpoint(variant, number)
                self.listed.append(self.tree.add(prompt, params, path))
        self.listed.sort(key=lambda text: Path(text.path).name)
        for text in self.listed:
            self._start(text)
        self.timeline = True
        return True

    def _start(self, text: Text, count: int | None = None) -> None:
        job = self._number()
        text.job, text.over, text.failed, text.made, text.seconds = job, "", False, 0, 0.0
        text.stepping, text.owed = count is not None, 0
        params = asdict(text.params)
        if count is not None:
            params["max_new_tokens"] = count
        path = text.opened.path if text.opened else text.path
        made = tuple(token.id for token in text.tokens)
        self._ask(GenerateRequest(job, path, text.prompt, params, made))

    def stop(self) -> bool:
        """Stop all generations; whether there were any."""
        jobs = [text.job for text in self.tree.texts.values() if text.job is not None]
        for text in self.tree.texts.values():
            text.owed = 0
        for job in jobs:
            self._ask(StopRequest(job))
        return bool(jobs)

    def take(self, reply: Reply) -> bool:
        """Take a reply of the engine; whether it was for a text of this tab."""
        text = self.tree.of_job(reply.job)
        if text is None:
            return False
        match reply:
            case Opened():
                text.opened = reply
            case Tokens():
                text.tokens += reply.tokens
                text.made += len(reply.tokens)
            case Ended():
                text.job, text.over, text.seconds = None, reply.why, reply.seconds
                if text.owed and text.over == "length":
                    self._start(text, text.owed)
            case Failed():
                text.job, text.over, text.failed = None, reply.why, True
        return True

    def look_for_newer(self) -> None:
        """Note under a heading that a newer checkpoint exists, or that another run generated it."""
        here = self.run.resolve() if self.run is not None else None
        for side in self.sides:
            opened = side.text.opened if side.text else None
            if opened is None or self.held is not None:
                continue
            run = Path(opened.path).resolve().parent.parent
            if run != here:
                side.note = f"generated by run {run.name}"
                continue
            if opened.variant in self.steps:
                continue
            newest = self.newest(opened.variant)
            newer = newest is not None and newest > opened.step
            side.note = f"step {newest:,} is available: a regenerates with it" if newer else ""

    # -- the cursor -----------------------------------------------------------------------------

    def enter(self) -> bool:
        """Open the list entry or the candidates, or branch. False if there is nothing to enter."""
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
            if text.writing:
                self.stop()
            params = replace(self.params, seed=text.params.seed)
            side.text = self.tree.branch(text, self.cursor, self.candidate, params)
            self._start(side.text)
            self.cursor = self.candidate = None
        return True

    def prune(self, text: Text) -> None:
        """Remove a text and its branches."""
        for gone in self.tree.prune(text):
            if gone.job is not None:
                self._ask(StopRequest(gone.job))
            self.sides = [side for side in self.sides if side.text is not gone]
        self.reset_cursor()

    def next_models(self) -> str:
        """Generate with both, with Dense or with MoE; returns which."""
        order = ("both", *VARIANTS)
        self.models = order[(order.index(self.models) + 1) % len(order)]
        return self.models

    def toggle_compare(self) -> bool:
        """Pin the current settings on the left, or release them; whether two are compared now."""
        self.held = self.params if self.held is None else None
        return self.held is not None
