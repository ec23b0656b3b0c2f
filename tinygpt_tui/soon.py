"""A tab that is not built yet says what it will hold."""

from __future__ import annotations

from textual.widget import Widget

SOON = {
    "attention": (
        "Attention",
        """Where each head looks: all layers and heads as thumbnails, one head as a heatmap,
the text coloured by attention, and the film of a head through training.""",
    ),
    "experts": (
        "Experts",
        """Where the router sends each character, layer by layer: load, specialisation,
and how the choice settles through training.""",
    ),
}


class SoonPane(Widget):
    """A title, and what will be here."""

    DEFAULT_CSS = """
    SoonPane { height: 1fr; content-align: center middle; text-align: center; color: $text-muted;
               padding: 1 4; }
    """
    can_focus = True

    def __init__(self, what: tuple[str, str], *, id: str) -> None:
        super().__init__(id=id)
        self._what = what

    def render(self) -> str:
        """What textual shows."""
        title, text = self._what
        return f"[b]{title}[/b]\n\n{text}\n\nNot built yet."
