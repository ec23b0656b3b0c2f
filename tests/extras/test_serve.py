"""The app served to browsers: who is let in, what a page shows, and what leaving it ends."""

import asyncio
import re
import signal
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest
import requests
from playwright.sync_api import Page, sync_playwright

from tests.helpers.scenes import make_run
from tests.helpers.served import Served, browser, serving
from tests.helpers.terminals import alive, end_all, processes_in
from tests.helpers.waiting import PATIENCE, until
from tinygpt.run import read_status
from tinygpt_tui.web.access import COOKIE

ENDLESS = (
    *("--preset", "micro", "--gpt.layers", "1", "--gpt.heads", "1", "--gpt.width", "4"),
    *("--gpt.context", "5", "--train.batch", "3", "--device", "cpu", "--steps", "1000000"),
)
SIZE = {"width": 1200, "height": 760}
FILES = ("", "page/page.js", "page/page.css", "static/js/textual.js", "static/css/xterm.css")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the app is served; whatever still runs there is killed after the test."""
    yield tmp_path
    end_all(tmp_path)


@pytest.fixture
def served(folder: Path) -> Iterator[Served]:
    """The app on one run, served."""
    make_run(folder / "checkpoints", "one").close()
    with serving(folder) as server:
        yield server


def visit(server: Served) -> tuple[str, str]:
    """Open the printed address; returns the address of the pages, and the cookie."""
    answer = requests.get(server.url, timeout=PATIENCE)
    assert answer.status_code == 200
    (folder,) = re.findall(r'url=/([0-9a-f]{16}/)"', answer.text)
    assert server.token not in answer.text
    return f"{server.root}{folder}", str(answer.cookies[COOKIE])


def status(address: str, **headers: str) -> int:
    """The status of the answer to these headers."""
    return requests.get(address, headers=headers, timeout=PATIENCE).status_code


def connect(
    pages: str,
    cookie: str,
    origin: str | None,
    use: Callable[[aiohttp.ClientWebSocketResponse], Coroutine[Any, Any, None]],
) -> None:
    """Open the websocket of a page, and use it."""

    async def run() -> None:
        headers = {"Cookie": f"{COOKIE}={cookie}", **({"Origin": origin} if origin else {})}
        address = f"{pages.replace('http', 'ws', 1)}ws?width=83&height=29"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(address, headers=headers) as connection,
        ):
            await use(connection)

    asyncio.run(run())


async def sees(connection: aiohttp.ClientWebSocketResponse, *texts: str) -> None:
    """Wait until the app has drawn these texts, in this order."""
    drawn = ""
    async with asyncio.timeout(PATIENCE):
        while not re.search(".*".join(map(re.escape, texts)), drawn, re.DOTALL):
            drawn += (await connection.receive_bytes()).decode(errors="replace")


def test_nothing_is_served_without_the_token(served: Served) -> None:
    pages, cookie = visit(served)
    places = [
        "",
        "?token=",
        f"?token={served.token[:-1]}",
        "ws",
        "download/x",
        "static/js/textual.js",
    ]
    for place in places:
        answer = requests.get(f"{served.root}{place}", timeout=PATIENCE)
        assert answer.status_code == 403, place
        assert (
            answer.text
            == "Open the address that tinygpt-tui --serve printed: it ends with a token.\n"
        )
    for place in (*FILES, "ws", "nowhere"):
        assert status(f"{pages}{place}") == 403, place
        assert status(f"{pages}{place}", Cookie=f"{COOKIE}={cookie[:-1]}") == 403, place
    for place in FILES:
        assert status(f"{pages}{place}", Cookie=f"{COOKIE}={cookie}") == 200, place
    for place in ("nowhere", "static/", "page/../server.py", "page/%2e%2e/server.py"):
        assert status(f"{pages}{place}", Cookie=f"{COOKIE}={cookie}") in (403, 404), place


def test_a_strangers_name_for_this_machine_is_refused(served: Served) -> None:
    pages, cookie = visit(served)
    assert status(served.url, Host="evil.example") == 403
    assert status(pages, Host="evil.example", Cookie=f"{COOKIE}={cookie}") == 403
    forwarded = requests.get(served.url, headers={"Host": "localhost:9001"}, timeout=PATIENCE)
    assert forwarded.status_code == 200  # a port that was forwarded may have another number
    assert "localhost:9001" not in forwarded.text


def test_the_cookie_and_the_headers_of_a_page(served: Served) -> None:
    answer = requests.get(served.url, timeout=PATIENCE)
    words = set(answer.headers["Set-Cookie"].split("; "))
    assert {"HttpOnly", "SameSite=Strict"} < words
    pages, cookie = visit(served)
    assert f"Path=/{pages.split('/')[-2]}" in words
    page = requests.get(pages, cookies={COOKIE: cookie}, timeout=PATIENCE)
    for found in (answer, page):
        assert found.headers["Referrer-Policy"] == "no-referrer"
        assert found.headers["Cache-Control"] == "no-store"
        assert "frame-ancestors 'none'" in found.headers["Content-Security-Policy"]
    assert f"connect-src 'self' ws://{served.host};" in page.headers["Content-Security-Policy"]


def test_only_the_page_itself_may_open_the_websocket(served: Served, folder: Path) -> None:
    pages, cookie = visit(served)
    here = served.root.rstrip("/")

    async def never(_: aiohttp.ClientWebSocketResponse) -> None:
        pytest.fail("it is open")

    for given, origin in (
        *(
            (cookie, origin)
            for origin in (None, "null", "http://127.0.0.1:9", "http://evil.example")
        ),
        ("", here),
        (served.token, here),
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            connect(pages, given, origin, never)
        assert refused.value.status == 403
    assert len(processes_in(folder)) == 1  # the server; no app was started for them


def test_keys_reach_the_app_which_ends_with_its_page(served: Served, folder: Path) -> None:
    pages, cookie = visit(served)

    async def use(connection: aiohttp.ClientWebSocketResponse) -> None:
        await sees(connection, "one", "quit")
        await connection.send_json(["stdin", "?"])
        await sees(connection, "Keys")
        for nonsense in ([], ["stdin"], ["resize", {"width": "x"}], ["other", 1]):
            await connection.send_json(nonsense)
        await connection.send_json(["ping", "7"])
        async with asyncio.timeout(PATIENCE):
            while (message := await connection.receive()).type != aiohttp.WSMsgType.TEXT:
                pass
        assert message.json() == ["pong", "7"]

    connect(pages, cookie, served.root.rstrip("/"), use)
    until(lambda: processes_in(folder) == [psutil.Process(served.process.pid)])
    ended, out, err = served.end()
    port = served.host.rpartition(":")[2]
    assert (ended, out) == (0, "")
    assert f"ssh -N -L {port}:127.0.0.1:{port} " in err
    assert served.token not in err


def test_a_page_is_closed_when_its_app_ends(served: Served) -> None:
    pages, cookie = visit(served)

    async def use(connection: aiohttp.ClientWebSocketResponse) -> None:
        await sees(connection, "one", "quit")
        await connection.send_json(["stdin", "q"])
        async with asyncio.timeout(PATIENCE):
            async for _ in connection:
                pass
        assert connection.closed

    connect(pages, cookie, served.root.rstrip("/"), use)


@pytest.mark.parametrize("how", ["the page is left", "SIGTERM", "SIGKILL"])
def test_training_goes_on_without_the_page_and_the_server(
    folder: Path, corpus_file: Path, how: str
) -> None:
    run = folder / "runs" / "kept"
    words = ("--out", "runs", "--start", "--name", "kept", "--data", str(corpus_file), *ENDLESS)
    with serving(folder, *words) as server:
        pages, cookie = visit(server)

        async def use(connection: aiohttp.ClientWebSocketResponse) -> None:
            await sees(connection, "kept")
            async with asyncio.timeout(PATIENCE):
                while trained_by(run) is None:
                    await connection.receive()
                if how != "the page is left":
                    server.process.send_signal(getattr(signal, how))
                    async for _ in connection:
                        pass

        connect(pages, cookie, server.root.rstrip("/"), use)
        trainer = trained_by(run)
        assert trainer is not None
        left = {trainer, server.process.pid} if how == "the page is left" else {trainer}
        until(lambda: {found.pid for found in processes_in(folder) if alive(found)} == left)
        if how == "the page is left":
            _, _, err = server.end()
            assert "kept is still training; attach with: " in err
        assert alive(psutil.Process(trainer))


def trained_by(run: Path) -> int | None:
    """The pid of the process that trains a run, if one does."""
    status = read_status(run) if run.is_dir() else None
    return status.pid if status is not None and status.state == "running" else None


def test_the_app_in_a_browser(served: Served, pytestconfig: pytest.Config) -> None:
    program = browser()
    # The sandbox is refused to root, who runs the tests in a container.
    options = {"executable_path": program, "chromium_sandbox": False}
    with sync_playwright() as playwright, playwright.chromium.launch(**options) as opened:
        page = opened.new_page(viewport=SIZE)
        asked: list[str] = []
        wrong: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
        drawn = watch(page)
        page.goto(served.url)
        page.wait_for_url(re.compile("/[0-9a-f]{16}/$"))
        assert served.token not in page.url
        wait_for(page, drawn, "one", "quit")
        before = page.screenshot()
        drawn.clear()
        page.keyboard.press("4")
        wait_for(page, drawn, "load")
        picture = page.screenshot(path=pytestconfig.rootpath / "build" / "serve.png")
        assert picture != before
        assert wrong == []  # such as what the page's policy forbids
        drawn.clear()
        page.keyboard.press("q")
        page.get_by_text("The app has ended").wait_for()
        page.keyboard.press("Enter")  # "Open it again"
        wait_for(page, drawn, "one", "quit")
        assert {address.partition("?")[0].startswith(served.root) for address in asked} == {True}
        assert any(address.endswith(".ttf") for address in asked)  # the terminal's font


def watch(page: Page) -> list[str]:
    """What apps draw on a page, as it comes."""
    drawn: list[str] = []
    page.on(
        "websocket",
        lambda opened: opened.on(
            "framereceived",
            lambda frame: drawn.append(
                frame if isinstance(frame, str) else frame.decode(errors="replace")
            ),
        ),
    )
    return drawn


def wait_for(page: Page, drawn: list[str], *texts: str) -> None:
    """Wait until these texts were drawn, in this order."""
    wanted = re.compile(".*".join(map(re.escape, texts)), re.DOTALL)

    def seen() -> bool:
        page.wait_for_timeout(20)  # in which playwright hears of what was drawn
        return bool(wanted.search("".join(drawn)))

    until(seen, lambda: "".join(drawn)[-999:])
