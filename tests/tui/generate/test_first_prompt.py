"""The first prompt: of which the model knows every character."""

from pathlib import Path

from textual.pilot import Pilot

from tests.helpers.app import Body, drive, until
from tests.helpers.generating import idle
from tinygpt.data.subword import BPETokenizer
from tinygpt.data.tokenizer_file import save_tokenizer
from tinygpt_tui.app import LabApp
from tinygpt_tui.screens.dialog import Ask
from tinygpt_tui.widgets.prompt_area import PromptArea
from tinygpt_tui.widgets.prompt_history import PromptHistory


def use_corpus(out: Path, text: str) -> None:
    """Let the run's corpus be this text."""
    corpus = out.parent / "corpus.txt"
    corpus.write_text(text)
    config = out / "one" / "run.toml"
    config.write_text(f'data = "{corpus}"\n' + config.read_text())


def on_opening(body: Body) -> Body:
    """`body` on the Generate tab as it is shown first."""

    async def go(app: LabApp, pilot: "Pilot[int]") -> None:
        await until(pilot, lambda: bool(app.generate.controller.checkpoints))
        await pilot.press("2")
        await body(app, pilot)

    return go


def prompt_of(app: LabApp) -> str:
    return app.generate.query_one(PromptArea).text


def test_it_is_the_opening_of_the_validation_split(out: Path) -> None:
    validation = "bad cab\n" + "a deed\nbead\n" * 7
    use_corpus(out, "k" * (9 * len(validation) - 1) + "\n" + validation)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await until(pilot, lambda: prompt_of(app) == "bad cab")
        await pilot.press("g")
        await until(pilot, lambda: idle(app))
        assert not isinstance(app.screen, Ask)
        assert app.generate.controller.text is not None
        assert app.generate.controller.text.prompt == "bad cab"
        assert PromptHistory().all == ["bad cab"]

    drive(out, on_opening(body), (80, 24))


def test_romeo_is_not_asked_of_a_model_of_another_text(out: Path) -> None:
    use_corpus(out, "如果没有指定文件。\n" * 99)
    config = out / "one" / "run.toml"
    config.write_text(config.read_text().replace("tinyshakespeare", "zh"))
    save_tokenizer(BPETokenizer.train(["如果没有"], 257), out / "one" / "tokenizer.json")

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await until(pilot, lambda: prompt_of(app).startswith("如果没有"))

    drive(out, on_opening(body))


def test_without_a_corpus_it_is_the_prompt_of_the_samples(out: Path) -> None:
    config = out / "one" / "run.toml"
    data = f'data = "{out.parent / "none.txt"}"\n'
    config.write_text(data + config.read_text() + '[train]\nsample_prompt = "cab"\n')

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await until(pilot, lambda: prompt_of(app) == "cab")
        assert [said.message for said in app._notifications] == []

    drive(out, on_opening(body))


def test_a_remembered_prompt_comes_first_unless_the_model_does_not_know_it(out: Path) -> None:
    use_corpus(out, "bad cab\n" * 99)
    for prompt in ("bee", "ROMEO:"):
        PromptHistory().add(prompt)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await until(pilot, lambda: prompt_of(app) == "bee")
        await pilot.press("t", "up")
        assert prompt_of(app) == "ROMEO:"

    drive(out, on_opening(body))


def test_a_prompt_that_was_typed_stays(out: Path) -> None:
    """Also when the opening arrives later, and when the run is opened again."""
    use_corpus(out, "bad cab\n" * 99)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        app.generate.query_one(PromptArea).put("dab")
        await pilot.press("g")
        await until(pilot, lambda: idle(app))
        assert prompt_of(app) == "dab"
        await pilot.press("t", "ctrl+u", *"cab")
        app.open_run(out / "one")
        app.generate.activate()
        await pilot.pause()
        assert prompt_of(app) == "cab"

    drive(out, on_opening(body))
