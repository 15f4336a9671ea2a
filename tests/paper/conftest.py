"""Names, at the end of the run, for every published variant how many values were compared."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    found = {}
    for report in terminalreporter.getreports("passed"):
        compared = dict(report.user_properties).get("values compared")
        if compared is not None:
            found[report.nodeid.rpartition("::")[0], report.nodeid] = compared
    if not found:
        return
    terminalreporter.section("published values compared")
    for (file, name), compared in sorted(found.items()):
        task = file.rpartition("test_")[2].partition(".")[0]
        variant = name.rpartition("[")[2].rstrip("]")
        terminalreporter.write_line(f"{task}/{variant}: {compared}")
