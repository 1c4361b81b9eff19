"""Processes that are forked from one whose loop runs. Each test has a program of its own: pytest has threads."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest

_PROGRAM = """
import asyncio, json, os, signal, socket, sys, time
from dnsserver.forking import Forked

async def said(work, *descriptors):
    process = await Forked.start("dns-tried", work, descriptors)
    lines = await process.stdout.read()
    return [lines.decode(), await process.wait()]

async def main():
{main}

print(json.dumps(asyncio.run(main())))
"""


def run(main: str) -> tuple[Any, str]:
    """What the program returned, and what stood on its standard error."""
    program = _PROGRAM.format(main=textwrap.indent(textwrap.dedent(main), "    "))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout), done.stderr


@pytest.mark.parametrize(
    ("work", "status"),
    [
        ("lambda: None", 0),
        ("lambda: sys.exit(3)", 3),
        ("lambda: sys.exit()", 0),
        ("lambda: os.kill(os.getpid(), signal.SIGKILL)", -9),
        ("lambda: os.kill(os.getpid(), signal.SIGTERM)", -15),
    ],
)
def test_its_status(work: str, status: int) -> None:
    assert run(f"return await said({work})") == (["", status], "")


def test_an_error_is_told_with_its_place() -> None:
    found, errors = run("return await said(lambda: 1 // 0)")
    assert found == ["", 1]
    assert "ZeroDivisionError" in errors


def test_what_it_says_comes_and_what_it_is_told() -> None:
    found, _ = run(
        """
        process = await Forked.start("dns-tried", lambda: os.write(1, os.read(0, 100).upper()))
        process.stdin.write(b"some words")
        return [(await process.stdout.read()).decode(), await process.wait(), await process.wait()]
        """
    )
    assert found == ["SOME WORDS", 0, 0]


def test_it_has_its_name_and_a_loop_of_its_own() -> None:
    found, _ = run(
        """
        async def inner():
            await asyncio.sleep(0)
            os.write(1, open("/proc/self/comm", "rb").read())
        return await said(lambda: asyncio.run(inner()))
        """
    )
    assert found == ["dns-tried\n", 0]


def test_no_descriptor_is_open_that_is_not_given() -> None:
    """Another's standard input held open would keep that one alive when this program is gone."""
    found, _ = run(
        """
        other = await Forked.start("dns-other", lambda: os.read(0, 1))
        given, kept = socket.socketpair()
        def work():
            os.write(given.fileno(), b"given")
            opened = [number for number in range(3, 100) if os.path.exists(f"/proc/self/fd/{number}")]
            os.write(1, str(opened == [given.fileno()]).encode())
        told = await said(work, given.fileno())
        other.stdin.close()
        return [*told, kept.recv(10).decode(), await other.wait()]
        """
    )
    assert found == ["True", 0, "given", 0]


def test_a_signal_to_it_is_none_to_this_program() -> None:
    found, _ = run(
        """
        heard = []
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: heard.append("SIGTERM"))
        process = await Forked.start("dns-tried", lambda: (os.write(1, b"x"), time.sleep(60)))
        await process.stdout.read(1)
        process.send(signal.SIGTERM)
        status = await process.wait()
        process.send(signal.SIGTERM)
        await asyncio.sleep(0)
        here = list(heard)
        os.kill(os.getpid(), signal.SIGTERM)
        while not heard:
            await asyncio.sleep(0.01)
        return [status, here, heard]
        """
    )
    assert found == [-15, [], ["SIGTERM"]]


def test_where_none_is_to_be_had_nothing_is_left_open() -> None:
    found, _ = run(
        """
        before = sorted(os.listdir("/proc/self/fd"))
        real, os.fork = os.fork, lambda: (_ for _ in ()).throw(BlockingIOError(11, "no process"))
        try:
            await said(lambda: None)
        except OSError as error:
            told = error.strerror
        finally:
            os.fork = real
        while sorted(os.listdir("/proc/self/fd")) != before:
            await asyncio.sleep(0.01)
        return told
        """
    )
    assert found == "no process"
