"""Who is let in: only who has the token, then the cookie, and on no other name or page."""

import pytest

from tinygpt_tui.web.access import Access, Visit

HOSTS = ("127.0.0.1:8000", "localhost:9001", "[::1]:8000", "localhost")
STRANGERS = (
    *("", "evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil:80"),
    *("10.0.0.7:8000", "127.0.0.1:8000@evil", "localhost:", "localhost:x", "localhost:80\n"),
)


@pytest.fixture
def access() -> Access:
    return Access()


@pytest.mark.parametrize("host", HOSTS)
def test_the_token_opens_the_door_and_the_cookie_the_pages(access: Access, host: str) -> None:
    assert access.refusal(Visit("/", host, token=access.token)) is None
    for path in (f"{access.folder}/", f"{access.folder}/static/js/textual.js"):
        assert access.refusal(Visit(path, host, cookie=access.cookie)) is None


@pytest.mark.parametrize("path", ["/", "/ws", "/download/7", "/static/js/textual.js", "", "//"])
@pytest.mark.parametrize("token", ["", "x", "é", "\udcff"])
def test_nothing_opens_without_them(access: Access, path: str, token: str) -> None:
    for place in (path, f"{access.folder}{path}"):
        said = access.refusal(Visit(place, HOSTS[0], token=token, cookie=token))
        assert said is not None
        assert access.token not in said
        assert access.folder not in said


def test_one_secret_is_no_other(access: Access) -> None:
    page = f"{access.folder}/"
    assert access.refusal(Visit("/", HOSTS[0], cookie=access.cookie))
    assert access.refusal(Visit("/", HOSTS[0], token=access.cookie))
    assert access.refusal(Visit(page, HOSTS[0], token=access.token))
    assert access.refusal(Visit(page, HOSTS[0], cookie=access.token))
    assert access.refusal(Visit(f"{access.folder}x/", HOSTS[0], cookie=access.cookie))
    other = Access()
    assert access.refusal(Visit("/", HOSTS[0], token=other.token))
    assert len({*(vars(access).values()), *(vars(other).values())}) == 6


@pytest.mark.parametrize("host", STRANGERS)
def test_a_name_that_is_not_the_loopback_is_refused(access: Access, host: str) -> None:
    said = access.refusal(Visit("/", host, token=access.token))
    assert said is not None
    assert said.startswith("This host is not allowed")
    assert access.refusal(Visit(f"{access.folder}/", host, cookie=access.cookie))


def test_a_websocket_has_to_come_from_the_page(access: Access) -> None:
    visit = Visit(access.websocket, "localhost:8000", cookie=access.cookie)
    assert access.refusal(visit._replace(origin="http://localhost:8000")) is None
    for origin in ("", "null", "http://localhost:9000", "https://localhost:8000", "http://evil"):
        assert access.refusal(visit._replace(origin=origin)) == "Only the page itself may use this."
