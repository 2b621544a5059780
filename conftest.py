"""Rules for every Python test of the checkout."""

import os

import pytest

CI = bool(os.environ.get("CI"))
_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember what did not run."""
    if report.skipped and not hasattr(report, "wasxfail"):
        _remember(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Remember modules that skipped themselves as a whole."""
    if report.skipped:
        _remember(report)


def _remember(report: pytest.TestReport | pytest.CollectReport) -> None:
    # A skip's report is (file, line, reason).
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    _skipped.append(f"{report.nodeid}: {reason}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a test that did not run is a test that failed: nobody reads a skip in a green log."""
    if CI and _skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List every skip, with its reason."""
    if _skipped:
        verdict = "skipped, which fails the run in CI" if CI else "skipped"
        terminalreporter.section(verdict, red=CI, yellow=not CI)
        for line in _skipped:
            terminalreporter.write_line(line)
