"""The form of a log line (CONTRACT, Log)."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest

from dnsserver import log


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    yield stream
    log.configure(json_lines=False)


def test_text_quotes_what_is_not_plain_and_shows_nothing_as_a_dash(lines: io.StringIO) -> None:
    log.configure(json_lines=False, stream=lines)
    log.event("transfer-refused", zone="example.com.", peer="192.0.2.9#40000", key=None, msg='no "entry" matches')
    name, zone, peer, key, rest = lines.getvalue().split(" ", 4)
    assert (name, zone, peer, key) == ("transfer-refused", "zone=example.com", "peer=192.0.2.9#40000", "key=-")
    assert rest.startswith('msg="no \\"entry\\" matches"')


def test_zones_and_keys_are_named_without_the_final_dot(lines: io.StringIO) -> None:
    """CONTRACT, Log: ``transfer-out zone=example.com``; the root keeps its only dot."""
    log.configure(json_lines=False, stream=lines)
    log.event("transfer-out", zone="example.com.", key="xfr.example.net.")
    log.event("transfer-out", zone=".", key=None)
    first, second = (line.split(" ")[:3] for line in lines.getvalue().splitlines())
    assert first == ["transfer-out", "zone=example.com", "key=xfr.example.net"]
    assert second == ["transfer-out", "zone=.", "key=-"]


def test_a_value_never_breaks_the_line(lines: io.StringIO) -> None:
    log.configure(json_lines=False, stream=lines)
    log.event("request-failed", msg="one\ntwo zone=forged")
    assert lines.getvalue().count("\n") == 1
    assert 'msg="one\\ntwo zone=forged"' in lines.getvalue()


def test_json_has_the_same_fields(lines: io.StringIO) -> None:
    log.configure(json_lines=True, stream=lines)
    log.event("transfer-out", zone="example.com.", bytes=612)
    line = json.loads(lines.getvalue())
    assert (line["event"], line["zone"], line["bytes"]) == ("transfer-out", "example.com", 612)
    assert line["at"].endswith("Z")


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "\x00", "x\x7fy", "a\x9bb", "a\u2028b", "a\u202eb"])
def test_a_value_is_no_command_to_a_terminal(lines: io.StringIO, text: str) -> None:
    """Whoever reads the log of what a client sent must not have his terminal told what to do."""
    log.configure(json_lines=False, stream=lines)
    log.event("request-failed", op=text)
    line = lines.getvalue().removesuffix("\n")
    assert line.isprintable()
    assert json.loads(line.split(" op=")[1].rpartition(" at=")[0] or line.split(" op=")[1]) == text
