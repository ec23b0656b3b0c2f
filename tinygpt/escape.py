"""Text from elsewhere, made fit for a terminal: nothing in it is obeyed, everything is seen.

Names of files, prompts, corpora and messages can hold what a terminal takes for orders: escape
sequences that retitle a window or fill a clipboard, carriage returns that overwrite what stands
there, marks that turn the direction of the line round.
"""


def printable(text: str, *, keep: str = "") -> str:
    """The text with a visible mark for every character that is not printable, but those in `keep`.

    A newline becomes ⏎, another control character its picture (␛), everything else �.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _mark(c) for c in text)


def _mark(character: str) -> str:
    code = ord(character)
    if character == "\n":
        return "⏎"
    return chr(0x2400 + code) if code < 32 else "␡" if code == 127 else "�"
