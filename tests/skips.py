"""A skipped test is a failure where CLAIMPOST_SKIPS_ALLOWED (a pattern) says which reasons may skip, as in CI."""

from __future__ import annotations

import os
import re

import pytest


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a green session that skipped a test for another reason than the allowed ones."""
    allowed = os.environ.get("CLAIMPOST_SKIPS_ALLOWED")
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if allowed is None or reporter is None:
        return
    reasons = {str(report.longrepr[2]) for report in reporter.stats.get("skipped", []) if report.longrepr}
    unexpected = sorted(reason for reason in reasons if not re.search(allowed, reason))
    if unexpected:
        reporter.write_line(f"Unexpected skips: {'; '.join(unexpected)}", red=True)
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
