"""`make torture`: tests that take minutes. Each counts what it did; the counts are printed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.fork_server import ForkServer
from tests.helpers.models import TEXT

COUNTED = "count"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test in this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.torture)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts, one per line."""
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
    """Starts trainers in a folder with a corpus."""
    (tmp_path / "corpus.txt").write_text(TEXT)
    with ForkServer(tmp_path) as found:
        yield found
