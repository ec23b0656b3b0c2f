"""The state of the Generate tab and its requests to the engine, without widgets."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tinygpt.generation.params import SamplingParams
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
from tinygpt_tui.generate.settings import PRESETS, as_dict, chain_words
from tinygpt_tui.generate.tree import Text, Tree
from tinygpt_tui.generate.view import COLOURS, Side, ViewOptions
from tinygpt_tui.theme import NAMES

SAMPLES = 5


class GenerateController(EngineSession):
    """The generated texts, the sampling settings and a cursor."""

    def __init__(self, ask: Callable[[Request], None], number: Callable[[], int]) -> None:
        super().__init__(ask, number)
        self.params: SamplingParams = PRESETS["careful"]
        self.held: SamplingParams | None = None
        """The left side's settings, while two are compared."""
        self.models = "both"
        self.steps: dict[str, int] = {}
        """The checkpoint to use of a variant, where it is not the newest."""
        self.tree = Tree()
        self.sides: list[Side] = []
        self.active = 0
        self.look = ViewOptions()
        self.cursor: int | None = None
        self.candidate: int | None = None
        self.listed: list[Text] = []
        self.place = 0
        self.timeline = False

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
    def side(self) -> Side | None:
        """The active side, which keys act on."""
        return self.sides[min(self.active, len(self.sides) - 1)] if self.sides else None

    @property
    def text(self) -> Text | None:
        """The active text, which keys act on."""
        if self.listed:
            return self.listed[self.place]
        return self.side.text if self.side else None

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
        self._leave()
        seed = self._seed(seed)
        if self.held is not None:
            variant = variants[0]
            plans = [(variant, self.held), (variant, self.params)]
        else:
            plans = [(variant, self.params) for variant in variants]
        self.sides = []
        for variant, params in plans:
            text = self.tree.add(prompt, replace(params, seed=seed), self.path(variant))
            self.sides.append(self._side(variant, text))
            self._start(text)
        self._number_sides()
        return True

    def _side(self, variant: str, text: Text) -> Side:
        return Side(NAMES.get(variant, variant), f"{variant}.bold", text)

    def _number_sides(self) -> None:
        if self.held is not None:
            for name, side in zip("AB", self.sides, strict=False):
                assert side.text is not None
                side.title = f"{name} {side.title}"
                side.note = chain_words(side.text.params)

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
        self._leave()
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
        self._leave()
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
        params = as_dict(text.params)
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
                side.note = f"written by the run {run.name}"
                continue
            if opened.variant in self.steps:
                continue
            newest = self.newest(opened.variant)
            newer = newest is not None and newest > opened.step
            side.note = f"step {newest:,} is there: a writes this with it" if newer else ""

    # -- the cursor -----------------------------------------------------------------------------

    def _leave(self) -> None:
        self.cursor = self.candidate = None
        self.listed, self.place = [], 0

    def back(self) -> bool:
        """Leave the candidates, the text or the list. False if there is nothing to leave."""
        if self.candidate is not None:
            self.candidate = None
        elif self.cursor is not None:
            self.cursor = None
        elif self.listed:
            self.listed = []
        else:
            return False
        return True

    def move(self, by: int) -> None:
        """Move the cursor by tokens; the first move puts it on the last one."""
        text = self.text
        if self.listed or text is None or not text.tokens:
            return
        last = len(text.tokens) - 1
        self.cursor = last if self.cursor is None else min(max(self.cursor + by, 0), last)

    def move_lines(self, by: int) -> None:
        """Move the cursor by lines; in a list, to another entry."""
        if self.listed:
            self.place = min(max(self.place + by, 0), len(self.listed) - 1)
            return
        flow = self.side.flow if self.side else None
        if self.cursor is None or flow is None:
            self.move(0)
            return
        line, at = flow.place(self.cursor)
        found = flow.token_at(line + by, at)
        if found is not None:
            self.cursor = found

    def choose(self, by: int) -> None:
        """Select another candidate of the distribution."""
        text = self.text
        if self.candidate is not None and self.cursor is not None and text is not None:
            last = len(text.tokens[self.cursor].ids) - 1
            self.candidate = min(max(self.candidate + by, 0), last)

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

    def show(self, text: Text, *, other: bool = False) -> None:
        """Show a text on the active side, or on the other."""
        self._leave()
        if not text.opened:
            side = Side(f"text {text.id}", text=text)
        else:
            side = self._side(text.opened.variant, text)
        if not self.sides:
            self.sides, self.active = [side], 0
        elif other and len(self.sides) == 1:
            self.sides.append(side)
        else:
            place = min(self.active, len(self.sides) - 1)
            self.sides[1 - place if other else place] = side

    def prune(self, text: Text) -> None:
        """Remove a text and its branches."""
        for gone in self.tree.prune(text):
            if gone.job is not None:
                self._ask(StopRequest(gone.job))
            self.sides = [side for side in self.sides if side.text is not gone]
        self._leave()

    def sweep(self) -> None:
        """Remove texts that were stopped before their first token and are not on the screen."""
        shown = [*self.listed, *(side.text for side in self.sides)]
        for text in list(self.tree.texts.values()):
            if text.over == "stopped" and not text.tokens and text not in shown:
                del self.tree.texts[text.id]

    def other(self) -> None:
        """Switch sides."""
        self.active = (self.active + 1) % max(len(self.sides), 1)
        self.cursor = self.candidate = None

    def next_models(self) -> str:
        """Generate with both, with Dense or with MoE; returns which."""
        order = ("both", *VARIANTS)
        self.models = order[(order.index(self.models) + 1) % len(order)]
        return self.models

    def next_colour(self) -> None:
        """Colour tokens by the next of `COLOURS`."""
        place = COLOURS.index(self.look.colour)
        self.look = replace(self.look, colour=COLOURS[(place + 1) % len(COLOURS)])

    def next_layer(self) -> None:
        """Colour tokens by the experts of the next layer."""
        layers = max(
            (s.text.opened.layers for s in self.sides if s.text and s.text.opened), default=1
        )
        self.look = replace(self.look, colour="expert", layer=(self.look.layer + 1) % layers)

    def toggle_marks(self) -> None:
        """Show spaces and newlines as marks, or not."""
        self.look = replace(self.look, marks=not self.look.marks)

    def toggle_compare(self) -> bool:
        """Pin the current settings on the left, or release them; whether two are compared now."""
        self.held = self.params if self.held is None else None
        return self.held is not None
