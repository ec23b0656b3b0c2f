"""Who may open the pages: whoever knows the token, at this machine or through a forwarded port.

The loopback belongs to everyone on a machine, and to every page that a browser there has open. So:

- The first address carries a token, in exchange for a cookie that the app's pages ask for.
- The cookie is for one random folder. Browsers send cookies to every port of a host, so another
  user's server on the same host would get one that is for "/".
- The host has to be the loopback: a name that a stranger's DNS points here (rebinding) is refused.
- A websocket has to come from the page itself: pages on other ports of a host count as the same
  site, for which SameSite=Strict does nothing.
"""

from __future__ import annotations

import hmac
import re
import secrets
from typing import NamedTuple

COOKIE = "tinygpt-tui"
_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?")
"""A Host header, with any port: a forwarded port may have another number."""


class Visit(NamedTuple):
    """What a request says about itself; "" for what it leaves out."""

    path: str
    host: str = ""
    origin: str = ""
    token: str = ""
    cookie: str = ""


class Access:
    """The secrets of one server, drawn anew for each."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(24)
        self.cookie = secrets.token_urlsafe(24)
        self.folder = f"/{secrets.token_hex(8)}"

    @property
    def websocket(self) -> str:
        """The path of the websocket."""
        return f"{self.folder}/ws"

    def refusal(self, visit: Visit) -> str | None:
        """Why a request is refused, as one sentence; None if it is not."""
        if not _LOOPBACK.fullmatch(visit.host):
            return (
                "This host is not allowed: open http://127.0.0.1 or http://localhost, with the "
                "port and token that tinygpt-tui --serve printed."
            )
        if visit.path == "/":
            allowed = _same(visit.token, self.token)
        else:
            inside = visit.path == self.folder or visit.path.startswith(f"{self.folder}/")
            allowed = _same(visit.cookie, self.cookie) and inside
        if not allowed:
            return "Open the address that tinygpt-tui --serve printed: it ends with a token."
        if visit.path == self.websocket and visit.origin != f"http://{visit.host}":
            return "Only the page itself may use this."
        return None


def _same(given: str, secret: str) -> bool:
    """Whether they are equal, found in a time that does not tell how much of them is."""
    return hmac.compare_digest(given.encode(errors="replace"), secret.encode())
