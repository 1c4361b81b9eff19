"""Finding out who is to be told of a zone's change: many zones together, from the store, and from the resolver."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from dnsserver.errors import DnsServerError
from dnsserver.keeper.known import Known
from dnsserver.keeper.line import Line
from dnsserver.keeper.offload import Offload
from dnsserver.keeper.settings import KeeperSettings
from dnsserver.keeper.targets import Addresses, Resolver, ZoneFacts, facts_of
from dnsserver.store.database import Database
from dnsserver.zone import names

# Zones whose targets are found out at once; those after them have their turn when one is done.
_AT_ONCE = 1000
# Of these, how many are read together; how many are told of between two turns of the loop.
_TOGETHER, _SLICE = 500, 25


class Listener(Protocol):
    """Whom the finder reports to, always on the loop."""

    def turn_begins(self, ids: list[int]) -> None:
        """What changed of these zones before now is taken in by their turn."""

    def read(self, zone_id: int, facts: ZoneFacts | None) -> bool:
        """What the store says of a zone, None: it is not here; whether its targets are wanted."""

    def found_before(self, zone_id: int, facts: ZoneFacts, addresses: dict[bytes, Addresses], *, is_all: bool) -> None:
        """The addresses that are known before the resolver is asked; not ``is_all``: whoever is a target stays one."""

    def found(self, zone_id: int, facts: ZoneFacts, addresses: dict[bytes, Addresses], unresolved: list[str]) -> None:
        """The addresses of all name servers that are to be told, and the names of those that have none."""

    def unreadable(self, zone_id: int) -> None:
        """What the store holds of the zone cannot be read."""

    def turn_ends(self, *, is_last: bool) -> None:
        """``is_last``: no zone waits for its turn."""


class Finder:
    """Zones have their turns in a task of ``start``; one that waits for the resolver has a task of its own.

    ``known``: what was found out lately, to be told of what is committed; ``settings``: those in force.
    """

    def __init__(
        self,
        settings: KeeperSettings,
        database: Database,
        offload: Offload,
        start: Callable[[Coroutine[Any, Any, None]], None],
        listener: Listener,
    ) -> None:
        self.settings = settings
        self.known = Known()
        self._resolver = Resolver()
        self._database = database
        self._offload = offload
        self._start = start
        self._listener = listener
        # Zones that wait, whether some have their turn now, and those whose turn is not over.
        self._line = Line()
        self._has_turn = False
        self._busy: set[int] = set()

    def __contains__(self, zone_id: int) -> bool:
        """Whether it waits, or has its turn."""
        return zone_id in self._line or zone_id in self._busy

    def is_busy(self, zone_id: int) -> bool:
        """Whether it has its turn."""
        return zone_id in self._busy

    def put(self, zone_id: int) -> None:
        """It waits from now on, for the next ``proceed``."""
        self._line.put(zone_id)

    def put_first(self, zone_id: int) -> None:
        """It has its turn before all that wait otherwise."""
        self._line.put(zone_id, first=True)
        self.proceed()

    def proceed(self) -> None:
        """See to it that zones in the line have their turn, where there is room."""
        if not self._has_turn and self._line and len(self._busy) < _AT_ONCE:
            self._has_turn = True
            self._start(self._find_all())

    async def _find_all(self) -> None:
        try:
            while ids := self._line.take(min(_TOGETHER, _AT_ONCE - len(self._busy)), self._busy):
                await self._find(ids)
        finally:
            self._has_turn = False

    async def _find(self, ids: list[int]) -> None:
        self._busy.update(ids)
        self._listener.turn_begins(ids)
        moment = self.known.moment
        left = set(ids)
        try:
            read = await self._offload(facts_of, self._database, ids)
            for number, zone_id in enumerate(ids):
                if not number % _SLICE:
                    await asyncio.sleep(0)
                is_over = self._take(zone_id, read.get(zone_id), moment)
                left.discard(zone_id)
                if is_over:
                    self._busy.discard(zone_id)
        except DnsServerError:
            raise
        except Exception:
            if len(ids) == 1:
                self._listener.unreadable(ids[0])
                raise
            # Each for itself: one that cannot be read holds up no other.
            for zone_id in left:
                self._start(self._find([zone_id]))
        finally:
            self._busy -= left
            self._listener.turn_ends(is_last=not self._line)

    def _take(self, zone_id: int, facts: ZoneFacts | None, moment: int) -> bool:
        """Whether that is all; else the resolver is asked first."""
        if not self._listener.read(zone_id, facts) or facts is None:
            return True
        asked = [name for name in facts.to_be_told if name not in facts.addresses] if self.settings.notify else ()
        fresh = {name: found for name in asked if (found := self._resolver.fresh(name)) is not None}
        if len(fresh) < len(asked):
            self._start(self._resolve(zone_id, facts, moment))
            return False
        self._found(zone_id, facts, facts.addresses | fresh, moment)
        return True

    async def _resolve(self, zone_id: int, facts: ZoneFacts, moment: int) -> None:
        addresses = dict(facts.addresses)
        asked = [name for name in facts.to_be_told if name not in addresses]
        try:
            # Those that can be told now do not wait for the resolver, nor do those that it told of before.
            before = {name: found for name in asked if (found := self._resolver.remembered(name)) is not None}
            self._listener.found_before(zone_id, facts, addresses | before, is_all=len(before) == len(asked))
            for name in asked:
                addresses[name] = await self._resolver.addresses(name)
            self._found(zone_id, facts, addresses, moment)
        finally:
            self._busy.discard(zone_id)
            self._listener.turn_ends(is_last=not self._line)

    def _found(self, zone_id: int, facts: ZoneFacts, addresses: dict[bytes, Addresses], moment: int) -> None:
        """``addresses``: of all that are to be told."""
        asked = [name for name in addresses if name not in facts.addresses]
        unresolved = [names.to_text(name) for name in asked if not addresses[name]]
        self._listener.found(zone_id, facts, addresses, unresolved)
        if not unresolved:
            self.known.put(facts, min(map(self._resolver.until, asked), default=math.inf), moment)
