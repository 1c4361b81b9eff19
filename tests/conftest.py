"""What all tests share: which of them run, and what is said of those that do not.

The quick suite needs Python alone. ``--all`` (or DNSSERVER_ALL=1) also runs what is marked ``interop``, ``faults``
or ``long``; so does naming the mark (``-m interop``). DNSSERVER_NO_SKIP=1 makes any skipped test a failure.
"""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import HealthCheck, settings

from tests.support.stores import empty_file

__all__ = ["empty_file"]

PROGRAMS = {"interop": ("named", "nsd", "knotd", "pdns_server")}

# The time one example takes says nothing on a machine that runs other tests beside it.
settings.register_profile("dnsserver", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("dnsserver")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="also the tests marked interop, faults and long")


def installed(program: str) -> bool:
    """Whether a program is there; daemons live in sbin, which is not in everybody's PATH."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    return shutil.which(program, path=path) is not None


def why_skipped(item: pytest.Item, everything: bool, expression: str) -> str | None:
    """Why a test does not run now; None when it does. ``interop("named")`` needs these programs, else all four."""
    for mark in ("interop", "faults", "long"):
        found = item.get_closest_marker(mark)
        if found is None:
            continue
        if not (everything or mark in expression):
            return f"{mark}: run by scripts/test --all"
        missing = [program for program in found.args or PROGRAMS.get(mark, ()) if not installed(program)]
        if missing:
            return f"{mark}: {', '.join(missing)} not installed"
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    everything = config.getoption("--all") or os.environ.get("DNSSERVER_ALL") == "1"
    expression = config.getoption("markexpr") or ""
    for item in items:
        if reason := why_skipped(item, everything, expression):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI nothing may be skipped: a test that does not run proves nothing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("DNSSERVER_NO_SKIP") != "1" or reporter is None or hasattr(session.config, "workerinput"):
        return
    skipped = len(reporter.stats.get("skipped", ()))
    if skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line(f"DNSSERVER_NO_SKIP=1: {skipped} skipped, which counts as failed", red=True)
