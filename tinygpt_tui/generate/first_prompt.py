"""The prompt in the Generate tab until the user changes it."""

from __future__ import annotations

from tinygpt.errors import TinyGPTError
from tinygpt.run import read_config
from tinygpt_tui.engine.protocol import CorpusLine, Reply
from tinygpt_tui.generate.controller import GenerateController
from tinygpt_tui.widgets.prompt_area import PromptArea
from tinygpt_tui.widgets.prompt_history import PromptHistory


class FirstPrompt:
    """Suggests a prompt of which the open run's model knows every character.

    The most recent remembered one, or else the usual one if the run is trained on Shakespeare; if
    the model knows neither, the first words of the validation split, and without a corpus the
    prompt of the run's samples.
    """

    def __init__(self, controller: GenerateController, history: PromptHistory) -> None:
        self._controller, self._history = controller, history
        self.text = self._remembered()
        """The current suggestion."""
        self._job: int | None = None
        self._from_corpus = False
        """Whether the open run's corpus was asked."""

    def reset(self) -> None:
        """Another run was opened."""
        self._job, self._from_corpus = None, False

    def update(self, editor: PromptArea, *, ask: bool) -> None:
        """Show the suggestion for the vocabulary as it is known now, unless the user has changed
        the prompt. `ask`: the corpus may be asked."""
        if editor.text != self.text or self._from_corpus:
            return
        self._show(self._remembered(), editor)
        if ask and not self.text:
            self._job, self._from_corpus = self._controller.ask_corpus_line("opening"), True

    def handle_reply(self, reply: Reply, editor: PromptArea) -> bool:
        """Show the words of the corpus; returns whether the reply was about them."""
        if self._job is None or reply.job != self._job:
            return False
        self._job = None
        text = reply.text.strip() if isinstance(reply, CorpusLine) else self._sample_prompt()
        self._show(self._controller.without_unknown(text), editor)
        return True

    def _remembered(self) -> str:
        session = self._controller
        found = self._history.suggestion(session.unknown, shakespeare=session.on_shakespeare)
        return found or ""

    def _show(self, text: str, editor: PromptArea) -> None:
        if editor.text == self.text != text:
            editor.put(text)
            self.text = text

    def _sample_prompt(self) -> str:
        try:
            run = self._controller.run
            train = read_config(run).get("train", {}) if run else {}
        except TinyGPTError:
            return ""
        prompt = train.get("sample_prompt", "") if isinstance(train, dict) else ""
        return str(prompt)
