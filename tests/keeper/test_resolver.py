"""Names of name servers: asked for off the loop, few at once, each once (R8)."""

from __future__ import annotations

import asyncio

from dnsserver.keeper import targets
from dnsserver.keeper.targets import Addresses, Resolver
from dnsserver.zone import names


async def ask_many(zones: int, servers: int) -> tuple[list[Addresses], list[str], int]:
    """The answers, every name asked for, and how many were asked for at the same time."""
    asked: list[str] = []
    running = most = 0

    async def ask(_: asyncio.AbstractEventLoop, host: str) -> Addresses:
        nonlocal running, most
        asked.append(host)
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        if host == "ns0.example.":
            raise RuntimeError("can't start new thread")
        return ("192.0.2.1",)

    resolver = Resolver(ask)
    wanted = [names.from_text(f"ns{number % servers}.example.") for number in range(zones)]
    found = await asyncio.gather(*(resolver.addresses(name) for name in wanted))
    return found, asked, most


def test_many_zones_with_the_same_servers_ask_once_for_each() -> None:
    found, asked, most = asyncio.run(ask_many(5000, 300))
    assert sorted(asked) == sorted({f"ns{number}.example." for number in range(300)})
    assert most == targets._AT_ONCE
    assert found.count(("192.0.2.1",)) == 5000 - 17
    assert found[0] == found[300] == ()
