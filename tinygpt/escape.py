"""Makes untrusted text safe to print in a terminal: control characters become visible marks.

File names, prompts, corpora and messages may contain what a terminal would execute: escape
sequences that set the window title or the clipboard, carriage returns that overwrite a line, marks
that reverse the direction of text.
"""


def printable(text: str, *, keep: str = "") -> str:
    """The text with a visible mark for every unprintable character, except those in `keep`.

    A newline becomes ⏎, other control characters their pictures (␛), everything else �.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _mark(c) for c in text)


def _mark(character: str) -> str:
    code = ord(character)
    if character == "\n":
        return "⏎"
    return chr(0x2400 + code) if code < 32 else "␡" if code == 127 else "�"
