"""Priorities, each tried in a process of its own: they cannot all be taken back."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from typing import Any

_PROGRAM = """
import ctypes, json, os, platform, struct
from dnsserver import priority

def slice_length():  # sched_attr.sched_runtime (sched_getattr(2))
    found = ctypes.create_string_buffer(56)
    number = {{"x86_64": 315, "aarch64": 275}}[platform.machine()]
    assert ctypes.CDLL(None).syscall(number, 0, found, 56, 0) == 0
    return struct.unpack_from("=IIQiIQ", found)[5]

{body}
"""


def run(body: str) -> Any:
    program = _PROGRAM.format(body=body)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def has_slices() -> bool:
    """Linux 6.12 and later."""
    major, minor = platform.release().split(".")[:2]
    return sys.platform == "linux" and (int(major), int(minor)) >= (6, 12)


def test_who_comes_first_has_short_slices_where_there_are_any() -> None:
    before, after = run("a = slice_length(); priority.come_first(); print(json.dumps([a, slice_length()]))")
    assert after == (100_000 if has_slices() else before)
    assert before != 100_000


def test_who_comes_first_keeps_policy_and_nice() -> None:
    found = run(
        "os.nice(3); os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)); priority.come_first();"
        "print(json.dumps([os.nice(0), os.sched_getscheduler(0) == os.SCHED_BATCH]))"
    )
    assert found == [3, True]


def test_who_stands_back_is_nicer_and_wakes_nobody_up() -> None:
    found = run("priority.stand_back(7); print(json.dumps([os.nice(0), os.sched_getscheduler(0) == os.SCHED_BATCH]))")
    assert found == [7, True]
