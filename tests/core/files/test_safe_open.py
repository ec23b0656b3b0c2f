"""Files in untrusted folders."""

import os
from pathlib import Path

import pytest

from tinygpt.files import safe_open


@pytest.fixture(params=["pipe", "device", "folder", "link to a device"])
def strange(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "file"
    match request.param:
        case "pipe":
            os.mkfifo(path)
        case "device":
            return Path("/dev/zero")
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to("/dev/zero")
    return path


def test_only_regular_files_are_read_or_written(strange: Path) -> None:
    before = set(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else set()
    for attempt in (
        lambda: safe_open.open_regular(strange),
        lambda: safe_open.read_text(strange),
        lambda: safe_open.open_to_write(strange, os.O_WRONLY),
    ):
        with pytest.raises(OSError, match=r"regular file|directory|link|No such device"):
            attempt()
    if before:
        assert set(os.listdir("/proc/self/fd")) == before


def test_a_link_is_read_and_not_written(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("é")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "mine")
    assert safe_open.read_text(link) == "é"
    with pytest.raises(OSError, match="it is a link"):
        safe_open.open_to_write(link, os.O_WRONLY | os.O_APPEND)


def test_no_more_than_the_largest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * (1 << 20))
    assert len(safe_open.read_text(path, 1 << 20)) == 1 << 20
    path.write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(OSError, match="larger than 1,024 KiB"):
        safe_open.read_text(path, 1 << 20)
    path.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="utf-8"):
        safe_open.read_text(path)


def test_toml_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(b"\xef\xbb\xbfsteps = 7\r\n")
    assert safe_open.read_toml(path) == {"steps": 7}
    path.write_bytes(b"a = " + b"[" * 100_000)
    with pytest.raises(ValueError, match="nested too deep"):
        safe_open.read_toml(path)
    path.write_bytes(b"#" * (safe_open.LARGEST_TOML + 1))
    with pytest.raises(OSError, match="larger than 1,024 KiB"):
        safe_open.read_toml(path)
