"""What a pass over a text finds, and that it is found again."""

import hashlib
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tinygpt.data.documents import Chunk
from tinygpt.data.scan import OPENING, forget_facts, keep_facts, known_facts, scan

texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1)


@given(texts, st.integers(1, 7))
def test_facts_do_not_depend_on_the_chunks(wanted: list[str], size: int) -> None:
    cut = [
        Chunk(text[start : start + size], start + size >= len(text))
        for text in wanted
        for start in range(0, len(text), size)
    ]
    facts, whole = scan(cut), "".join(wanted)
    assert facts == scan(Chunk(text, ends=True) for text in wanted)
    assert facts.alphabet == "".join(sorted(set(whole)))
    assert facts.characters == len(whole)
    assert facts.size == len(whole.encode())
    assert facts.documents == len(wanted)
    assert facts.opening == whole[:OPENING]
    if len(wanted) == 1:
        assert facts.sha256 == hashlib.sha256(whole.encode()).hexdigest()


@given(texts, texts)
def test_other_documents_have_another_hash(one: list[str], other: list[str]) -> None:
    first, second = (scan(Chunk(text, ends=True) for text in each) for each in (one, other))
    assert (first.sha256 == second.sha256) == (one == other)


def test_the_hash_of_several_documents_is_as_documented() -> None:
    raw = b"ab" + (2).to_bytes(8, "little") + b"c" + (1).to_bytes(8, "little")
    found = scan([Chunk("ab", ends=True), Chunk("c", ends=True)])
    assert found.sha256 == hashlib.sha256(raw).hexdigest()


def test_facts_are_known_until_a_file_changes(tmp_path: Path) -> None:
    path, cache = tmp_path / "a.txt", tmp_path / "cache"
    path.write_text("one text")
    facts, files = scan([Chunk("one text", ends=True)]), [str(path)]
    assert known_facts(cache, files, "text") is None
    keep_facts(cache, files, "text", facts)
    assert known_facts(cache, files, "text") == facts
    assert known_facts(cache, files, "body") is None
    os.utime(path, ns=(7, 7))
    assert known_facts(cache, files, "text") is None
    keep_facts(cache, files, "text", facts)
    forget_facts(cache, files, "text")
    assert known_facts(cache, files, "text") is None
    assert known_facts(cache, [str(tmp_path / "gone")], "text") is None


def test_damaged_facts_are_not_known(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one text")
    keep_facts(tmp_path, [str(path)], "text", scan([Chunk("one text", ends=True)]))
    (kept,) = (tmp_path / "texts").iterdir()
    for content in (b"", b"{", b"[]", b'{"sha256": 7}', b"\xff"):
        kept.write_bytes(content)
        assert known_facts(tmp_path, [str(path)], "text") is None
