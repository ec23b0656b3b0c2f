"""Text that is not UTF-8 is named."""

import codecs

import pytest

from tinygpt.files.encoding import encoding_problem, wide_encoding

LINE = "First Citizen:\nBefore we proceed any further, hear me speak.\n"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (LINE.encode("utf-16"), "UTF-16"),
        (codecs.BOM_UTF16_BE + "第一公民".encode("utf-16-be"), "UTF-16"),
        (LINE.encode("utf-32"), "UTF-32"),
        (LINE.encode("utf-16-le"), "UTF-16LE"),
        (("é" + LINE).encode("utf-16-be"), "UTF-16BE"),
        (LINE.encode(), None),
        (b"", None),
        (b"seven c\0", None),
        (bytes(100), None),
        # token ids of a character model as 16-bit integers, as nanoGPT stores them
        (b"".join(i.to_bytes(2, "little") for i in range(65)), None),
    ],
)
def test_wide_text(data: bytes, encoding: str | None) -> None:
    assert wide_encoding(data) == encoding


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (LINE.encode("utf-16"), "UTF-16 text"),
        (b"ab\xffc", "not UTF-8 text (invalid byte 0xff at byte 2)"),
    ],
)
def test_the_problem_completes_a_sentence(data: bytes, problem: str) -> None:
    with pytest.raises(UnicodeDecodeError) as error:
        data.decode()
    assert encoding_problem(error.value) == problem
