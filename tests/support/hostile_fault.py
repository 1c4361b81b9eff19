"""What a fault of a primary is: all but the questions that it spoils are answered rightly.

Serial 1 is what the secondary has; the primary promises 2 where nothing else is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .client import TsigKey
from .hostile import AXFR, SOA, Ask, Script, Step, good

KEY = TsigKey("hostile.key.")
OTHER_SECRET = TsigKey(KEY.name, "YW5vdGhlciBzZWNyZXQgb2YgdGVzdHM=")
OTHER_KEY = TsigKey("other.key.", KEY.secret)
BAD = "invalid malformed"


@dataclass(frozen=True)
class Fault:
    """``spoils``: the questions its script answers ("axfr": IXFR is off; "ixfr": AXFR is refused meanwhile).

    ``reasons``: those that `zone status` may give; of an IXFR, those of the event ixfr-fallback. ``event``: the one
    that is expected; ``settings``: of the zone beside; ``outcome``: of the refresh, "current" where all is well.
    """

    name: str
    spoils: str
    reasons: frozenset[str]
    script: Script
    event: str = "transfer-failed"
    signed: bool = False
    settings: tuple[str, ...] = ()
    udp_only: bool = False
    outcome: str = "failed"

    @property
    def zone(self) -> str:
        return f"{self.name}.hostile.test."

    def answer(self, ask: Ask) -> Iterable[Step]:
        if ask.qtype == SOA:
            return self.script(ask) if self.spoils == "soa" else good(ask, 2)
        if self.spoils == "ixfr" and ask.qtype == AXFR:
            refusal = ask.reply(rcode=5)
            return [ask.signer()(refusal) if ask.key else refusal]
        return self.script(ask)


Make = Callable[[Ask], "bytes | Iterable[Step]"]


class Table(list[Fault]):
    """Faults, by what they spoil. What is made for a question is a message, or steps."""

    def _add(self, spoils: str, name: str, reasons: str, make: Make, **more: Any) -> None:
        def script(ask: Ask) -> Iterable[Step]:
            made = make(ask)
            return [made] if isinstance(made, bytes) else made

        self.append(Fault(name, spoils, frozenset(reasons.split()), script, **more))

    def axfr(self, name: str, reasons: str, make: Make, **more: Any) -> None:
        self._add("axfr", name, reasons, make, **more)

    def signed(self, name: str, make: Make, reasons: str = "unauthenticated") -> None:
        self._add("axfr", name, reasons, make, signed=True)

    def ixfr(self, name: str, reasons: str, make: Make, **more: Any) -> None:
        self._add("ixfr", name, reasons, make, **more)

    def soa(self, name: str, event: str, reasons: str, make: Make, **more: Any) -> None:
        self._add("soa", name, reasons, make, event=event, **more)
