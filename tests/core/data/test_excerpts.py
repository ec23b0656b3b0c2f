"""Pieces of a corpus, read without the rest of it."""

import collections
import gzip
import json
import operator
import random
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.paths import ROOT
from tinygpt.config import Shares
from tinygpt.data import excerpts
from tinygpt.data.characters import CharTokenizer
from tinygpt.data.excerpts import (
    TextSource,
    random_line,
    validation_line,
    validation_opening,
    validation_sample,
)
from tinygpt.data.splits import split
from tinygpt.data.tokenizer_file import save_tokenizer
from tinygpt.errors import CorpusError


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return tmp_path / "text.txt"


def drawn(data: Path, count: int, seed: int = 3) -> collections.Counter[str]:
    rng = random.Random(seed)
    return collections.Counter(random_line(TextSource(str(data)), rng) for _ in range(count))


def test_every_line_of_a_small_file_is_equally_likely(text: Path) -> None:
    text.write_text("a" * 400 + "\n\n  \n" + "".join(f"{n}\n" for n in range(9)) + "end")
    found = drawn(text, 2200)
    assert found.keys() == {"a" * 400, "end", *map(str, range(9))}
    assert all(140 < count < 270 for count in found.values())
    assert drawn(text, 50) == drawn(text, 50)
    assert drawn(text, 50) != drawn(text, 50, seed=4)


def test_every_line_of_a_large_file_is_about_equally_likely(
    text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excerpts, "BLOCK", 401)
    lines = [f"{n} " + "é界x"[n % 3] * (n % 29) for n in range(80)]
    text.write_text("\n".join(lines) + "\n")
    assert text.stat().st_size > 6 * 401
    found = drawn(text, 8000)
    assert found.keys() == set(lines)
    assert min(found.values()) > 50
    assert max(found.values()) < 200


@settings(max_examples=80)
@given(
    st.lists(st.text(st.sampled_from("aé界👩 "), max_size=20), min_size=1, max_size=30),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 60),
)
def test_each_line_begins_in_one_block(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], newline: str, block: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    raw = newline.join([*lines, "end"]).encode()
    path.write_bytes(raw)
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(excerpts, "BLOCK", block)
        begins = [len(newline.join([*lines[:n], ""]).encode()) for n in range(len(lines) + 1)]
        for start in range(0, len(raw), block):
            if any(start <= place < start + block for place in begins):
                part = excerpts._read(str(path), partial(operator.add, start - len(raw)), block)
                found += excerpts._lines(part)
    assert found == [*lines, "end"]


def test_a_line_of_a_corpus_without_line_ends_is_a_part_of_it(text: Path) -> None:
    text.write_text("界" * 100_000)
    assert drawn(text, 7) == {"界" * 1000: 7}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"abc\xff\n" * 9, "is not UTF-8"),
        (None, "does not exist"),
    ],
)
def test_a_corpus_without_text_is_a_sentence(text: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        text.write_bytes(content)
    with pytest.raises(CorpusError, match=says):
        random_line(TextSource(str(text)), random.Random(1))
    for of_validation in (validation_opening, validation_line):
        with pytest.raises(CorpusError, match=says):
            of_validation(TextSource(str(text)))


def test_a_blank_corpus_has_no_line(text: Path) -> None:
    text.write_text("\n \n\r\n")
    with pytest.raises(CorpusError, match="has no line with text"):
        random_line(TextSource(str(text)), random.Random(1))
    assert validation_opening(TextSource(str(text))) == validation_line(TextSource(str(text))) == ""


@pytest.mark.parametrize(
    ("validation", "opening"),
    [
        (
            "half a line\n\nWhat is the matter with you, my dear lord of Warwick?\n",
            "What is the matter with you, my",
        ),
        ("x\n春眠不觉晓\n处处闻啼鸟", "春眠不觉晓"),
        ("x\n" + "花" * 99, "花" * 32),
        ("no line begins here", "no line begins here"),
    ],
)
def test_the_opening_is_that_of_the_validation_split(
    text: Path, validation: str, opening: str
) -> None:
    size = len(validation.encode())
    text.write_bytes(b"a" * (9 * size - 1) + b"b" + validation.encode())
    assert text.read_bytes()[int(0.9 * 10 * size) :].decode() == validation
    assert validation_opening(TextSource(str(text))) == opening


@pytest.mark.parametrize(
    ("validation", "line"),
    [
        (
            "half a line\n\nWARWICK:\n  What is the matter with you, my dear lord?\nNothing\n",
            "What is the matter with you, my dear lord?",
        ),
        ("x\nshort\nless short\nlast", "less short"),
        ("no line begins here", "no line begins here"),
    ],
)
def test_the_line_of_the_validation_split_is_the_first_long_one(
    text: Path, validation: str, line: str
) -> None:
    size = len(validation.encode())
    text.write_bytes(b"a" * (9 * size - 1) + b"b" + validation.encode())
    assert validation_line(TextSource(str(text))) == validation_line(TextSource(str(text))) == line


def test_with_a_test_split_validation_begins_earlier(text: Path) -> None:
    text.write_text("a" * 799 + "\n" + "validation\n" * 9 + "v" + "t" * 100)
    assert validation_opening(TextSource(str(text), Shares(test=0.1))) == "validation"
    assert validation_line(TextSource(str(text), Shares(test=0.1))) == "v" + "t" * 100
    assert validation_sample(TextSource(str(text), Shares(test=0.1))) == (
        "text.txt",
        "validation\n" * 9 + "v",
    )


def test_validation_is_whole_unless_it_is_large(
    text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text.write_text("abcdé\n" * 1000)
    whole = split("abcdé\n" * 1000)[1]
    assert validation_sample(TextSource(str(text))) == ("text.txt", whole)
    monkeypatch.setattr(excerpts, "LARGE", 999)
    monkeypatch.setattr(excerpts, "SAMPLE", 50)
    name, sample = validation_sample(TextSource(str(text)))
    assert name == "text.txt"
    assert sample.strip("\n").startswith(whole[:40])
    assert 50 <= len(sample.encode()) <= 51 + 4 * excerpts.LONGEST_LINE


SCRIPT = """
import random, resource, sys
from tinygpt.data import excerpts
source = excerpts.TextSource(sys.argv[1])
for _ in range(50):
    assert excerpts.random_line(source, random.Random()) == "a line of twenty-four by"
assert excerpts.validation_opening(source) == "a line of twenty-four by"
assert len(excerpts.validation_sample(source)[1]) < 5 << 20
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_a_large_corpus_takes_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    peaks = []
    for name, size in (("small", 1 << 20), ("large", 70 << 20)):
        path = tmp_path / name
        block = b"a line of twenty-four by\n" * 41_943
        with path.open("wb") as file:
            for _ in range(size // len(block) or 1):
                file.write(block)
        script = [sys.executable, "-c", SCRIPT, str(path)]
        found = subprocess.run(script, cwd=ROOT, check=True, capture_output=True, text=True)
        peaks.append(int(found.stdout))
    assert peaks[1] - peaks[0] < 30_000, "KiB"


LINES = [f"line {number:03} of the text\n" for number in range(101)]


class TestOtherSources:
    """Text that is not one plain file is read from its beginning."""

    @pytest.fixture
    def sources(self, tmp_path: Path) -> dict[str, TextSource]:
        """The same text in several ways."""
        text = "".join(LINES)
        (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text.encode()))
        documents = [json.dumps({"body": line}) for line in LINES]
        (tmp_path / "a.jsonl").write_text("\n".join(documents))
        half = len("".join(LINES[:50]))
        (tmp_path / "one.txt").write_text(text[:half])
        (tmp_path / "two.txt").write_text(text[half:])
        tokenizer = CharTokenizer.train(text)
        save_tokenizer(tokenizer, tmp_path / "tokenizer.json")
        (tmp_path / "a.bin").write_bytes(tokenizer.encode_array(text).astype("<u2").tobytes())
        return {
            "gzip": TextSource(str(tmp_path / "a.txt.gz")),
            "jsonl": TextSource(str(tmp_path / "a.jsonl"), field="body"),
            "several": TextSource(f"{tmp_path / 'one.txt'},{tmp_path / 'two.txt'}"),
            "tokens": TextSource(
                str(tmp_path / "a.bin"), tokenizer=str(tmp_path / "tokenizer.json")
            ),
        }

    @pytest.mark.parametrize("kind", ["gzip", "jsonl", "several", "tokens"])
    def test_they_give_what_the_text_gives(
        self, sources: dict[str, TextSource], kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = sources[kind]
        lines = {random_line(source, random.Random(seed)) for seed in range(50)}
        assert len(lines) > 20
        assert lines <= {line.strip() for line in LINES}
        validation = split("".join(LINES))[1]
        assert validation_sample(source)[1] == validation
        if kind != "jsonl":  # its documents have no line ends between them
            assert validation_opening(source) == validation.split("\n")[1]
        monkeypatch.setattr(excerpts, "LARGE", 99)
        monkeypatch.setattr(excerpts, "SAMPLE", 50)
        assert validation_sample(source)[1] == validation[:50]

    def test_another_text_is_all_validation(self, sources: dict[str, TextSource]) -> None:
        whole = "".join(LINES)
        for source in sources.values():
            of = source._replace(shares=Shares(1.0, 0.0))
            assert validation_sample(of)[1] == whole
