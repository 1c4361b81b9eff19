"""One NOTIFY taken to its target; the log and the events say what came of it."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable

from dnsserver import log
from dnsserver.errors import DnsServerError
from dnsserver.events import Event, Value
from dnsserver.exchange import exchange
from dnsserver.keeper.mailbox import Mailbox
from dnsserver.keeper.settings import KeeperSettings
from dnsserver.keeper.targets import ZoneFacts
from dnsserver.protocol.notify import NOERROR, Answer, Send
from dnsserver.protocol.notify_message import Expected, Ignored, build, read_answer
from dnsserver.protocol.query import Rcode
from dnsserver.zone import names
from dnsserver.zone.settings import Target

# An answer that comes later than this is not waited for; the machine asks again by then.
_ANSWER_WITHIN = 5.0


class Courier:
    """``happened`` takes what is to be logged and listed."""

    def __init__(self, settings: KeeperSettings, mailbox: Mailbox, happened: Callable[[Event], None]) -> None:
        self.settings = settings
        self.counters: Counter[str] = Counter()
        self._mailbox = mailbox
        self._happened = happened
        # The version that each target was last silent about.
        self._silent: dict[int, dict[Target, int]] = {}

    def forget(self, zone_id: int) -> None:
        """The zone's targets are of no interest any more."""
        self._silent.pop(zone_id, None)

    async def deliver(self, send: Send, facts: ZoneFacts) -> int | None:
        """The RCODE that the target answered; None when there was no answer."""
        zone, target = names.to_text(facts.zone.name), send.target
        try:
            key = await self._mailbox.key(target.key)
        except DnsServerError as error:
            log.event("notify-failed", zone=zone, target=target.text(), msg=error.message)
            return None
        wire, expected = build(
            facts.soa, secrets.randbelow(1 << 16), target.address, target.port, key, time.time()
        )  # fmt: skip
        self.counters["notifies-sent"] += 1
        log.event("notify-sent", zone=zone, target=target.text(), serial=send.serial)
        fields: dict[str, Value] = {"zone": zone, "target": target.text(), "serial": send.serial}
        try:
            rcode = await exchange(
                wire, target.address, target.port, self.settings.outbound_addresses, _ANSWER_WITHIN,
                lambda packet: self._accept(packet, expected, zone, target),
            )  # fmt: skip
        except OSError as error:
            self.counters["notifies-unreachable"] += 1
            self._failed(send, Event("notify-unreachable", {**fields, "msg": error.strerror or str(error)}))
            return None
        if rcode is None:
            self.counters["notifies-unanswered"] += 1
            self._failed(send, Event("notify-unanswered", fields))
        return rcode

    def _failed(self, send: Send, event: Event) -> None:
        """Where this target fails again for this version, that is counted, not logged."""
        silent = self._silent.setdefault(send.zone, {})
        if silent.get(send.target) != send.version:
            silent[send.target] = send.version
            self._happened(event)

    def _accept(self, packet: bytes, expected: Expected, zone: str, target: Target) -> int | None:
        read = read_answer(packet, (target.address, target.port), expected, time.time())
        if isinstance(read, Ignored):
            self.counters["notify-answers-ignored"] += 1
            log.event("notify-answer-ignored", zone=zone, target=target.text(), reason=read.reason)
            return None
        return read

    def answered(self, send: Send, facts: ZoneFacts, rcode: int, meaning: Answer) -> None:
        """Say what the machine made of the answer."""
        zone, target = names.to_text(facts.zone.name), send.target.text()
        self.counters["notifies-answered" if rcode == NOERROR else "notifies-refused"] += 1
        if meaning is Answer.ERROR:
            text = rcode_text(rcode)
            msg = f"the secondary answered {text} to the NOTIFY"
            self._happened(Event("notify-refused", {"zone": zone, "target": target, "rcode": text, "msg": msg}))
        elif meaning is Answer.DONE:
            log.event("notify-answered", zone=zone, target=target, serial=send.serial)


def rcode_text(rcode: int) -> str:
    """Its name; ``RCODE23`` where it has none."""
    try:
        return Rcode(rcode).name
    except ValueError:
        return f"RCODE{rcode}"
