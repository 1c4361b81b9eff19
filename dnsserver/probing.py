"""Whether the primaries that a zone is given are authoritative for it (R28): each is asked for the SOA, all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dnsserver.asking import ask_soa
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.tsig import Key
from dnsserver.zone import names
from dnsserver.zone.settings import Target

# A person waits for the answers: one try by UDP, one by TCP.
_TRIES = 1
_SECONDS = 2.0

_WORDS = {
    "timeout": "does not answer",
    "unreachable": "cannot be reached",
    "refused": "refuses to answer (REFUSED)",
    "not-authoritative": "is not authoritative for the zone",
    "error": "answers with an error",
    "closed": "closes the connection",
    "unauthenticated": "and this server do not accept each other's signatures",
    "no-key": "is to be asked with a key that is not here, or unreadable",
    "malformed": "answers with what is no DNS answer",
}


async def probe(
    apex: bytes,
    primaries: Sequence[Target],
    keys: Mapping[bytes, Key],
    sources: Sequence[str],
    clock: Callable[[], float],
) -> list[dict[str, Any]]:
    """What each primary says, in their order: ``primary`` (ADDR[:PORT][,key=KEY]), ``ok``, ``serial`` or null,
    ``reason`` (of ``Failure``) or null, ``message``, one sentence.

    ``keys`` by name; one that is missing is a finding, too. ``sources``: local addresses (R6); ``clock``: seconds since
    the epoch, for signatures.
    """

    async def ask(primary: Target) -> dict[str, Any]:
        key = keys.get(primary.key) if primary.key is not None else None
        if primary.key is not None and key is None:
            return _found(primary, Failure("no-key", names.to_text(primary.key)))
        answer = await ask_soa(apex, primary, key, sources, clock, tries=_TRIES, seconds=_SECONDS)
        return _found(primary, answer if isinstance(answer, Failure) else answer.serial)

    return list(await asyncio.gather(*map(ask, primaries)))


def _found(primary: Target, answer: int | Failure) -> dict[str, Any]:
    if isinstance(answer, int):
        reason, message = None, f"{primary.text()} is authoritative, serial {answer}"
    else:
        reason, message = answer.reason, f"{primary.text()} {sentence(answer)}"
    serial = answer if isinstance(answer, int) else None
    return {"primary": primary.text(), "ok": reason is None, "serial": serial, "reason": reason, "message": message}


def sentence(failure: Failure) -> str:
    """What a primary does, in words that follow its address."""
    words = _WORDS.get(failure.reason, f"cannot be asked ({failure.reason})")
    if failure.reason == "error":
        words += f" (RCODE {failure.rcode})"
    return f"{words}: {failure.detail}" if failure.detail else words
