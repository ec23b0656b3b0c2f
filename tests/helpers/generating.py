"""Drive the Generate tab of the real app."""

from textual.pilot import Pilot

from tests.helpers.app import Body, until
from tinygpt_tui.app import LabApp
from tinygpt_tui.widgets.prompt_area import PromptArea


def on_tab(body: Body) -> Body:
    """`body` on the Generate tab, once the checkpoints are known; the prompt is "abc"."""

    async def go(app: LabApp, pilot: "Pilot[int]") -> None:
        controller = app.generate.controller
        await until(pilot, lambda: bool(controller.checkpoints and controller.vocabulary))
        await pilot.press("2")
        app.generate.query_one(PromptArea).put("abc")
        await pilot.pause()
        await body(app, pilot)

    return go


def idle(app: LabApp) -> bool:
    """Whether texts are shown and none is being generated."""
    return bool(app.generate.controller.sides) and not app.generate.controller.generating
