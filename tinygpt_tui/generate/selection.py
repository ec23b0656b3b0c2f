"""Which generated texts are on the screen, and the cursor in them."""

from __future__ import annotations

from dataclasses import replace

from tinygpt_tui.generate.state import COLOURS, Side, ViewOptions
from tinygpt_tui.generate.tree import Text, Tree
from tinygpt_tui.theme import NAMES


class TextSelection:
    """The texts on one or two sides or in a list, the cursor, and how they are drawn."""

    def __init__(self) -> None:
        self.tree = Tree()
        self.sides: list[Side] = []
        self.active = 0
        """Index of the side that keys act on."""
        self.options = ViewOptions()
        self.cursor: int | None = None
        """Index of a token of the active text."""
        self.candidate: int | None = None
        """Index of an entry in that token's distribution."""
        self.listed: list[Text] = []
        self.place = 0
        """Index of the active text in `listed`."""

    @property
    def side(self) -> Side | None:
        """The side that keys act on."""
        return self.sides[min(self.active, len(self.sides) - 1)] if self.sides else None

    @property
    def text(self) -> Text | None:
        """The text that keys act on."""
        if self.listed:
            return self.listed[self.place]
        return self.side.text if self.side else None

    def side_of(self, variant: str, text: Text) -> Side:
        """A side that shows a text of this variant."""
        return Side(NAMES.get(variant, variant), f"{variant}.bold", text)

    def reset_cursor(self) -> None:
        """Leave the candidates, the text and the list."""
        self.cursor = self.candidate = None
        self.listed, self.place = [], 0

    def back(self) -> bool:
        """Leave the candidates, the text or the list. Returns False if none is entered."""
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

    def select(self, side: int, token: int) -> None:
        """Put the cursor on a token of one of the sides."""
        self.active, self.cursor, self.candidate = side, token, None

    def move_lines(self, by: int) -> None:
        """Move the cursor by lines; in a list, to another entry."""
        if self.listed:
            self.place = min(max(self.place + by, 0), len(self.listed) - 1)
            return
        flow = self.side.flow if self.side else None
        if self.cursor is None or flow is None:
            self.move(0)
            return
        line, column = flow.place(self.cursor)
        token = flow.token_at(line + by, column)
        if token is not None:
            self.cursor = token

    def move_candidate(self, by: int) -> None:
        """Move through the candidates of the token under the cursor."""
        text = self.text
        if self.candidate is not None and self.cursor is not None and text is not None:
            last = len(text.tokens[self.cursor].ids) - 1
            self.candidate = min(max(self.candidate + by, 0), last)

    def show(self, text: Text, *, other: bool = False) -> None:
        """Show a text on the active side, or on the other."""
        self.reset_cursor()
        if not text.opened:
            side = Side(f"text {text.id}", text=text)
        else:
            side = self.side_of(text.opened.variant, text)
        if not self.sides:
            self.sides, self.active = [side], 0
        elif other and len(self.sides) == 1:
            self.sides.append(side)
        else:
            place = min(self.active, len(self.sides) - 1)
            self.sides[1 - place if other else place] = side

    def remove_empty(self) -> None:
        """Remove texts that were stopped before their first token and are not on the screen."""
        visible = [*self.listed, *(side.text for side in self.sides)]
        for text in list(self.tree.texts.values()):
            if text.end == "stopped" and not text.tokens and text not in visible:
                del self.tree.texts[text.id]

    def switch_side(self) -> None:
        """Make the other side the active one."""
        self.active = (self.active + 1) % max(len(self.sides), 1)
        self.cursor = self.candidate = None

    def next_colour(self) -> None:
        """Colour tokens by the next of `COLOURS`."""
        place = COLOURS.index(self.options.colour)
        self.options = replace(self.options, colour=COLOURS[(place + 1) % len(COLOURS)])

    def move_layer(self, by: int) -> None:
        """Colour tokens by the experts of the layer that is `by` later, in a circle."""
        layers = max(
            (s.text.opened.layers for s in self.sides if s.text and s.text.opened), default=1
        )
        self.options = replace(
            self.options, colour="expert", layer=(self.options.layer + by) % layers
        )

    def toggle_marks(self) -> None:
        """Show spaces and newlines as visible marks, then where tokens of several characters meet
        as well, then neither."""
        options = self.options
        longer = self.text is not None and any(len(token.text) > 1 for token in self.text.tokens)
        boundaries = options.marks and longer and not options.boundaries
        self.options = replace(
            options, marks=boundaries or not options.marks, boundaries=boundaries
        )
