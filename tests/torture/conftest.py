"""`make torture`: what takes minutes. Each test says how often it did what; that is printed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.fork_server import ForkServer
from tests.helpers.models import TEXT

COUNTED = "count"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever lies here is torture."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.torture)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The counts, one a line."""
    lines = [
        f"{value:>9,}  {name.removeprefix(COUNTED)}"
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name.startswith(COUNTED)
    ]
    if lines:
        terminalreporter.section("counts")
        terminalreporter.write_line("\n".join(sorted(lines, key=lambda line: line[11:])))


@pytest.fixture
def fork_server(tmp_path: Path) -> Iterator[ForkServer]:
    """Where trainers are started, with a corpus beside them."""
    (tmp_path / "corpus.txt").write_text(TEXT)
    with ForkServer(tmp_path) as found:
        yield found
