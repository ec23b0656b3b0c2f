"""Serves the app to browsers: every page gets a process of it, which ends with the page.

textual-serve brings the browser's terminal and the protocol between a page and its process. Its own
server is not used: it lets everyone in, loads a font from the internet, names its address on the
pages (which differs behind a forwarded port), and leaves a page hanging whose process has died.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import textual_serve
from aiohttp import WSMsgType, web
from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

from tinygpt_tui import log
from tinygpt_tui.shell.capabilities import PAGE_DRIVER
from tinygpt_tui.web.access import COOKIE, Access, Visit

PAGE = Path(__file__).with_name("page")
TERMINAL = Path(textual_serve.__file__).with_name("static")
"""The browser's terminal and its font."""

HEARTBEAT = 15.0
"""Seconds after which a page is asked whether it is still there: a link may drop silently."""
GRACE = 10.0
"""Seconds that a process has to end once its page is gone."""
_LARGEST = 1000
"""Columns and lines."""

_ENTER = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>tinygpt-tui</title>
<link rel="icon" href="data:,">
<meta http-equiv="refresh" content="0; url={url}"><a href="{url}">Open the app</a></html>
"""
"""Not a redirect: for a link on another site's page, no browser would send the new cookie along."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
    "img-src 'self' data:; connect-src 'self'{}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing is loaded from elsewhere, whatever a script asks for. xterm.js writes its own styles."""
HEADERS = {
    "Content-Security-Policy": POLICY.format(""),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PageProcess(AppService):  # type: ignore[misc, unused-ignore]
    """The app's process of one page."""

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        environment: dict[str, str] = super()._build_environment(width, height)
        return {**environment, "TEXTUAL_DRIVER": PAGE_DRIVER}

    async def run(self) -> None:
        """Pass on what the process draws until it ends; then the page is closed."""
        await super().run()
        await self.remote_close()

    async def end(self) -> None:
        """Ask the process to end, and wait for it; trainings that it started go on."""
        process = self._process
        if process is None:
            return
        try:
            async with asyncio.timeout(GRACE):
                await self.stop()
                self.stdin.close()
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


class Server:
    """Serves pages; the next of `commands` is the shell command of the app for the next page."""

    def __init__(self, access: Access, commands: Iterator[str]) -> None:
        self._access, self._commands = access, commands
        self._pages: set[asyncio.Task[Any]] = set()

    def run(self, listener: socket.socket) -> None:
        """Serve on a bound socket until SIGINT or SIGTERM."""
        # What others send here is not worth a traceback in the user's terminal.
        logging.getLogger("aiohttp").addHandler(logging.NullHandler())
        logging.getLogger("aiohttp").propagate = False
        with contextlib.redirect_stdout(sys.stderr):  # AppService prints its process's stderr
            web.run_app(self.application(), sock=listener, access_log=None, print=None)

    def application(self) -> web.Application:
        """The routes, behind `Access`."""

        async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
            if refusal := self._access.refusal(_visit(request)):
                return web.Response(status=403, text=f"{refusal}\n")
            return await handler(request)

        application = web.Application(middlewares=[web.middleware(guard)])
        folder = self._access.folder
        application.add_routes(
            [
                web.get("/", self._enter),
                web.get(f"{folder}/", self._page),
                web.get(self._access.websocket, self._websocket),
                web.static(f"{folder}/page", PAGE),
                web.static(f"{folder}/static", TERMINAL),
            ]
        )
        application.on_response_prepare.append(_add_headers)
        application.on_shutdown.append(self._end_pages)
        return application

    async def _enter(self, _: web.Request) -> web.Response:
        """Exchange the token for the cookie; the address with the token is left at once."""
        folder = self._access.folder
        response = web.Response(text=_ENTER.format(url=f"{folder}/"), content_type="text/html")
        response.set_cookie(
            COOKIE, self._access.cookie, path=folder, httponly=True, samesite="Strict"
        )
        return response

    async def _page(self, request: web.Request) -> web.FileResponse:
        # Not every browser takes a websocket of the page's own origin for 'self'.
        policy = POLICY.format(f" ws://{request.headers['Host']}")
        headers = {"Content-Security-Policy": policy}
        return web.FileResponse(PAGE / "index.html", headers=headers)

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        """A page's connection, from when it is opened until it or its process ends."""
        connection = web.WebSocketResponse(heartbeat=HEARTBEAT, timeout=GRACE)
        await connection.prepare(request)

        async def send(data: bytes) -> None:
            # What a process draws last has no reader any more.
            if not connection.closed:
                with contextlib.suppress(ConnectionError):
                    await connection.send_bytes(data)

        process = PageProcess(
            next(self._commands),
            write_bytes=send,
            write_str=connection.send_str,
            close=connection.close,
            download_manager=DownloadManager(),
        )
        task = asyncio.current_task()
        assert task is not None
        self._pages.add(task)
        try:
            await process.start(*_size(request))
            await _pass_on(connection, process)
        except Exception as error:  # noqa: BLE001 - one page's failure is not the server's
            log.note("a page failed", error)
        finally:
            await process.end()
            self._pages.discard(task)
        return connection

    async def _end_pages(self, _: web.Application) -> None:
        """End the pages' processes: aiohttp would wait for them for a minute."""
        pages = list(self._pages)
        for page in pages:
            page.cancel()
        await asyncio.gather(*pages, return_exceptions=True)


def _visit(request: web.Request) -> Visit:
    """What `Access` has to know about a request."""
    return Visit(
        request.path,
        host=request.headers.get("Host", ""),
        origin=request.headers.get("Origin", ""),
        token=request.query.get("token", ""),
        cookie=request.cookies.get(COOKIE, ""),
    )


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    for name, text in HEADERS.items():
        response.headers.setdefault(name, text)


def _size(request: web.Request) -> tuple[int, int]:
    """The columns and lines that the page has room for."""
    found = (request.query.get("width", ""), request.query.get("height", ""))
    if all(number.isascii() and number.isdigit() for number in found):
        return _in_range(int(found[0])), _in_range(int(found[1]))
    return 80, 24


def _in_range(cells: int) -> int:
    return min(max(cells, 1), _LARGEST)


async def _pass_on(connection: web.WebSocketResponse, process: PageProcess) -> None:
    """Pass on keys, sizes and focus until the page is left, or its process ends."""
    async for message in connection:
        if message.type != WSMsgType.TEXT:
            continue
        match json.loads(message.data):
            case ["stdin", str(text)]:
                await process.send_bytes(text.encode(errors="replace"))
            case ["resize", {"width": int(width), "height": int(height)}]:
                await process.set_terminal_size(_in_range(width), _in_range(height))
            case ["ping", mark]:
                await connection.send_json(["pong", mark])
            case ["focus", *_]:
                await process.focus()
            case ["blur", *_]:
                await process.blur()
